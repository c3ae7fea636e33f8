// The control API. The token travels in the page's fragment, which browsers send to nobody, and from here in a header.

const KEY = "masklet token";

function findToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return given ?? sessionStorage.getItem(KEY);
}

export const token = findToken();

export class ApiError extends Error {}

async function fetched(method, path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError("masklet cannot be reached; is it still running?");
  }
  if (answer.ok) return answer;
  const failure = await answer.json().catch(() => ({ error: `HTTP ${answer.status}` }));
  throw new ApiError(failure.error);
}

export async function call(method, path, body) {
  const answer = await fetched(method, path, body);
  return answer.status === 204 ? null : answer.json();
}

// The bytes that a path answers with.
export const fetchBytes = async (path) => (await fetched("GET", path)).arrayBuffer();

// Download what a path answers with, under a name.
export async function download(path, name) {
  const url = URL.createObjectURL(await (await fetched("GET", path)).blob());
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
