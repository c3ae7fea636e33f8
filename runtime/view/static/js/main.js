// Begins the page: of running streams, or of a clip that is annotated.

import { call } from "./api.js";
import { problem } from "./notices.js";
import { chip } from "./readings.js";
import { setUpTheme } from "./theme.js";

const PAGES = { live: async () => (await import("./live.js")).Live, annotation: async () => (await import("./annotate.js")).Annotate };

setUpTheme();
try {
  const { mode } = await call("GET", "/api/session");
  document.documentElement.dataset.mode = mode;
  new (await PAGES[mode]())();
} catch (error) {
  chip("not connected", "failed");
  problem(error);
}
