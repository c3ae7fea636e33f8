// Begins the page.

import { Live } from "./live.js";
import { setUpTheme } from "./theme.js";

setUpTheme();
new Live();
