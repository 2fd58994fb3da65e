// Requests to the app. Each gives the answer's JSON, or throws an Error with the sentence that says what is wrong.

const GONE = "The app does not answer. Start it again with `unish app`; it goes on where it was.";

async function ask(method, path, value) {
  let response;
  try {
    response = await fetch(path, { method, body: value === undefined ? undefined : JSON.stringify(value) });
  } catch {
    throw new Error(GONE);
  }
  return read(response.status, await response.text());
}

function read(status, text) {
  let value = {};
  try {
    value = JSON.parse(text);
  } catch {
    value = { error: text.trim() || `the app answered with ${status}` };
  }
  if (status >= 400) throw new Error(value.error);
  return value;
}

const job = (id) => `/api/jobs/${encodeURIComponent(id)}`;

export const about = () => ask("GET", "/api/about");
export const readResult = (id) => ask("GET", `${job(id)}/result`);
export const cancel = (id) => ask("POST", `${job(id)}/cancel`);
export const remove = (id) => ask("DELETE", job(id));
export const setEdits = (id, edits) => ask("PUT", `${job(id)}/edits`, { format: "unish-edits/1", edits });
export const makeExport = (id, formats) => ask("POST", `${job(id)}/exports`, { formats });
export const drawFilm = (id) => ask("POST", `${job(id)}/film`);
export const openLive = (id) => ask("POST", `${job(id)}/live`);

/** Send a video; `progress` is told the share that is sent. Gives a promise of the job, and what stops it. */
export function upload(file, options, progress) {
  const request = new XMLHttpRequest();
  const query = new URLSearchParams({ name: file.name, options: JSON.stringify(options) });
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      try {
        resolve(read(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("error", () => reject(new Error("The upload broke off. Is the app still running? Try again.")));
    request.addEventListener("abort", () => reject(new Error("The upload was stopped.")));
  });
  request.open("POST", `/api/jobs?${query}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
  return { done, stop: () => request.abort() };
}

/** Listen to what changes: `told.jobs(list)`, `told.job(job)`, `told.gone(id)`. A page that is not looked at does not. */
export function listen(told) {
  let source = null;
  function open() {
    if (source !== null || document.hidden) return;
    source = new EventSource("/api/events");
    source.addEventListener("jobs", (event) => told.jobs(JSON.parse(event.data)));
    source.addEventListener("job", (event) => told.job(JSON.parse(event.data)));
    source.addEventListener("gone", (event) => told.gone(JSON.parse(event.data).id));
    source.addEventListener("open", () => told.connected(true));
    source.addEventListener("error", () => {
      told.connected(false);
      if (source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(open, 3000);
      }
    });
  }
  // A browser opens six connections to one place: pages in the background leave theirs to others.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source !== null) {
      source.close();
      source = null;
    } else open();
  });
  open();
}
