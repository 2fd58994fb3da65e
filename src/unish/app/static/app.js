// The page: what is known of all jobs, the list beside, and which of them is shown.

import * as api from "./api.js";
import { byId, complain, duration, make, say } from "./dom.js";
import { JobPanel } from "./job.js";
import { describeState } from "./parts.js";
import { UploadForm } from "./upload.js";

const LOST = "The app does not answer. If it was stopped, start it again with `unish app`; this page comes back by itself.";

const jobs = new Map();
const panel = new JobPanel(byId("job"));
let about = null;
let known = false;

const shownId = () => (location.hash.match(/^#\/job\/([0-9a-f]{16})$/) || [])[1] || "";

function showPlace() {
  const id = shownId();
  const job = jobs.get(id);
  if (id && known && !job) {
    location.hash = "#/";
    return;
  }
  byId("new").hidden = Boolean(id);
  byId("job").hidden = !id;
  byId("new-link").toggleAttribute("aria-current", !id);
  panel.show(job || null, about);
  document.title = job ? `${job.name} – UniSH` : "UniSH";
  showHistory();
}

function showHistory() {
  const list = byId("history");
  const order = [...jobs.values()].sort((one, other) => other.created_s - one.created_s);
  const focused = document.activeElement?.closest?.("#history a")?.getAttribute("href");
  list.replaceChildren(...order.map(makeEntry));
  if (focused) list.querySelector(`a[href="${focused}"]`)?.focus();
  byId("history-empty").hidden = jobs.size > 0;
}

function makeEntry(job) {
  const picture = job.has_poster
    ? make("img", { src: `/jobs/${job.id}/poster.jpg`, alt: "", loading: "lazy" })
    : make("span", { className: "blank" });
  const words = make("span", {}, make("b", {}, job.name), make("span", { className: `state ${job.state}` }, describeState(job)));
  return make("li", {}, make("a", { href: `#/job/${job.id}`, "aria-current": job.id === shownId() ? "page" : null }, picture, words));
}

function announceChange(before, job) {
  if (before === undefined) return;
  if (before.state === job.state && before.task === job.task) {
    // Each stage is said once, of the job that is looked at.
    if (job.id === shownId() && job.stages.at(-1)?.name !== before.stages.at(-1)?.name) say(describeState(job));
    return;
  }
  if (job.state !== before.state) say(`${job.name}: ${describeState(job)}`);
  else if (!job.task) say(job.task_error || `${job.name}: ready`);
}

function take(job) {
  announceChange(jobs.get(job.id), job);
  jobs.set(job.id, job);
}

addEventListener("hashchange", () => {
  complain("");
  showPlace();
  byId("content").focus({ preventScroll: true });
  scrollTo(0, 0);
});

new UploadForm(
  () => about,
  (job) => {
    take(job);
    location.hash = `#/job/${job.id}`;
  },
);

api.listen({
  jobs(list) {
    jobs.clear();
    list.forEach((job) => jobs.set(job.id, job));
    known = true;
    showPlace();
  },
  job(job) {
    take(job);
    showPlace();
  },
  gone(id) {
    jobs.delete(id);
    showPlace();
  },
  connected(is) {
    if (!is) complain(LOST);
    else if (byId("trouble").textContent === LOST) complain("");
  },
});

api.about().then((found) => {
  about = found;
  byId("limits").textContent =
    `Up to ${(about.max_bytes / 1e9).toLocaleString("en")} GB and ${duration(60 * about.max_minutes)}. ` +
    (about.is_local ? "Nothing leaves this computer." : "The video goes to the computer that the app runs on, no further.");
  byId("keep-note").textContent = about.keep_days ? `Results that have not changed for ${about.keep_days} days are deleted.` : "";
  showPlace();
}, (error) => complain(error.message));
