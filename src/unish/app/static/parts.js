// What several views show of a job: its stages, its state in words, and the button that deletes it.

import { remove } from "./api.js";
import { complain, duration, make } from "./dom.js";

const STAGES = {
  "read video": "Read the video",
  "load model": "Load the model",
  "find people": "Find people",
  network: "See depth, cameras and bodies",
  reconstruct: "Bring everything into one world",
  measure: "Measure how good it is",
  preview: "Draw the preview",
  "export scene": "Write the scene",
  "report page": "Write the report",
  save: "Save",
  "people table": "Collect the people",
  "3D page": "Make the 3D view",
  "apply edits": "Apply your changes",
};

export function describeState(job) {
  const now = job.stages.at(-1);
  if (job.state === "waiting") return job.ahead ? `waits, ${job.ahead} before it` : "waits for its turn";
  if (job.state === "running") return now ? nameStage(now.name).toLowerCase().replace(/^\w/, (letter) => letter.toUpperCase()) : "begins";
  if (job.state === "done") return job.task ? "being changed" : "done";
  return job.state;
}

const nameStage = (name) => STAGES[name] || name.charAt(0).toUpperCase() + name.slice(1);

/** Stages that are over with their time, and the present one with a bar and the time left. */
export function showStages(list, stages) {
  list.replaceChildren(
    ...stages.map((stage, index) => {
      const isNow = index === stages.length - 1;
      const left = stage.left_s !== null && isNow ? `about ${duration(stage.left_s)} left` : duration(stage.seconds);
      const bar = make("progress", { "aria-label": nameStage(stage.name), max: stage.total || 1 });
      if (stage.total) bar.value = stage.done;
      return make(
        "li",
        { className: isNow ? "now" : "" },
        isNow ? make("span", { className: "spin", "aria-hidden": "true" }) : make("span", { "aria-hidden": "true" }, "✓"),
        make("span", {}, nameStage(stage.name), isNow ? "" : make("span", { className: "visually-hidden" }, " done")),
        make("span", { className: "faint" }, left),
        isNow ? bar : null,
      );
    }),
  );
}

export function makeDelete(job) {
  const button = make("button", { type: "button", className: "danger" }, "Delete");
  button.addEventListener("click", () => {
    if (!confirm(`Delete ${job.name} and everything that was made of it?`)) return;
    button.disabled = true;
    remove(job.id).catch((error) => complain(error.message));
  });
  return button;
}
