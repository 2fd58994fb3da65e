// The people of a result: who they are, how far to trust them, and what the user says about them.

import { setEdits } from "./api.js";
import { Corrections } from "./corrections.js";
import { complain, make, metres } from "./dom.js";
import { describeEdit, drop } from "./edits.js";

export class PeopleView {
  constructor(jobId) {
    this.jobId = jobId;
    this.edits = [];
    this.people = [];
    this.body = make("tbody");
    const head = ["", "", "Person", "Height", "Distance", "Seen", "How far to trust it"];
    this.table = make(
      "table",
      { className: "people" },
      make("thead", {}, make("tr", {}, ...head.map((text, index) => (index < 2 ? make("td") : make("th", { scope: "col" }, text))))),
      this.body,
    );
    this.table.prepend(make("caption", { className: "visually-hidden" }, "People of the result"));
    this.nobody = make("p", { hidden: true }, "Nobody was found in this video; the scene and the camera were reconstructed.");
    this.warnings = make("details", { className: "card" });
    this.buttons = [
      this.makeButton("Keep only these", (chosen) => this.people.filter((id) => !chosen.includes(id)).map(drop)),
      this.makeButton("Drop these", (chosen) => chosen.map(drop)),
      this.makeButton("Make one person of these", (chosen) => {
        if (chosen.length < 2) throw new Error("Choose at least two people to make one of.");
        return [{ kind: "merge", persons: chosen }];
      }),
    ];
    this.actions = make("div", { className: "row after" }, ...this.buttons);
    this.changes = make("div");
    this.corrections = new Corrections(jobId, (edit) => this.send([...this.edits, edit]));
    this.element = make("div", {}, this.warnings, this.nobody, make("div", { className: "sized" }, this.table), this.actions, this.changes, this.corrections.element);
  }

  makeButton(text, edit) {
    const button = make("button", { type: "button", className: "quiet small" }, text);
    button.addEventListener("click", () => {
      const chosen = [...this.body.querySelectorAll("input[type=checkbox]:checked")].map((box) => Number(box.value));
      try {
        if (chosen.length === 0) throw new Error("Choose people first, with the boxes in front of them.");
        this.send([...this.edits, ...edit(chosen)]);
      } catch (error) {
        complain(error.message);
      }
    });
    return button;
  }

  async send(edits) {
    complain("");
    try {
      await setEdits(this.jobId, edits);
    } catch (error) {
      complain(error.message);
    }
  }

  /** What was found: `report.json` and the table of places and pictures. */
  setPeople({ report, people }) {
    const pictures = new Map((people?.people || []).map((person) => [person.id, person]));
    const rows = report.people || [];
    this.people = rows.map((row) => row.id);
    const mark = Date.now();
    this.body.replaceChildren(...rows.map((row) => this.makeRow(row, pictures.get(row.id), mark)));
    this.table.hidden = rows.length === 0;
    this.actions.hidden = rows.length === 0;
    this.nobody.hidden = rows.length > 0;
    this.showTrust(report);
    this.corrections.setResult({ report, people });
    this.setEdits(this.edits, this.busy);
  }

  showTrust(report) {
    const notes = report.warnings || [];
    const shots = (report.shots || []).map((shot, index) =>
      make("li", {}, `${report.shots.length > 1 ? `Shot ${index + 1}` : "Scene and camera"}: `, makeVerdict(shot.verdict), shot.size ? ` ${shot.size}` : ""),
    );
    this.warnings.replaceChildren(
      make("summary", {}, notes.length ? `Scene and camera, and what had to be assumed (${notes.length})` : "Scene and camera"),
      make("ul", { className: "reasons" }, ...shots, ...notes.map((note) => make("li", {}, note))),
    );
  }

  makeRow(row, person, mark) {
    const name = `person ${row.id}`;
    const picture = person?.has_picture
      ? make("img", { src: `/jobs/${this.jobId}/people/${row.id}.jpg?v=${mark}`, alt: name })
      : make("span", { className: "blank" });
    const key = make("span", { className: "key", "aria-hidden": "true" });
    if (person) key.style.background = person.colour;
    const distance = row.distance_m || [];
    return make(
      "tr",
      {},
      make("td", {}, make("input", { type: "checkbox", value: String(row.id), "aria-label": `choose ${name}` })),
      make("td", {}, picture),
      make("th", { scope: "row" }, key, name),
      make("td", { "data-label": "Height" }, this.makeHeight(row, name)),
      make("td", { "data-label": "Distance" }, `${metres(distance[1], 1)}`, make("p", { className: "faint" }, distance.length ? `from ${metres(distance[0], 1)} to ${metres(distance[2], 1)}` : "")),
      make("td", { "data-label": "Seen" }, `${row.frames} frames`, make("p", { className: "faint" }, `${(row.first_s ?? 0).toFixed(1)} s to ${(row.last_s ?? 0).toFixed(1)} s`)),
      make("td", { "data-label": "Trust" }, makeVerdict(row.verdict), make("ul", { className: "reasons" }, ...(row.reasons || []).map((reason) => make("li", {}, reason)))),
    );
  }

  makeHeight(row, name) {
    const interval = row.height_interval_m;
    const field = make("input", { type: "number", min: "0.4", max: "2.6", step: "0.01", placeholder: "1.72", "aria-label": `known height of ${name} in metres` });
    const set = make("button", { type: "button", className: "quiet small", "aria-label": `Set the height of ${name}` }, "Set");
    const submit = () => {
      const value = Number(field.value);
      if (!(value >= 0.4 && value <= 2.6)) return complain("Give a height in metres from 0.4 to 2.6, such as 1.72.");
      const others = this.edits.filter((edit) => edit.kind !== "person_height" || edit.person !== row.id);
      this.send([...others, { kind: "person_height", person: row.id, metres: value }]);
    };
    set.addEventListener("click", submit);
    field.addEventListener("keydown", (event) => event.key === "Enter" && submit());
    const words = interval && Number.isFinite(interval[0]) ? `90 %: ${metres(interval[0])} to ${metres(interval[1])}` : "";
    return make("div", {}, metres(row.height_m), make("p", { className: "faint" }, words), make("div", { className: "row" }, field, set));
  }

  /** The list of changes that the result has, or is about to have, each with a way back. */
  setEdits(edits, busy) {
    const key = `${JSON.stringify(edits)} ${busy}`;
    this.edits = edits;
    this.busy = busy;
    for (const button of this.element.querySelectorAll("button")) button.disabled = busy;
    if (key === this.shownEdits) return;
    this.shownEdits = key;
    const rows = edits.map((edit, index) => {
      const undo = make("button", { type: "button", className: "quiet small", disabled: busy, "aria-label": `Undo: ${describeEdit(edit)}` }, "Undo");
      undo.addEventListener("click", () => this.send(this.edits.filter((_, other) => other !== index)));
      return make("li", {}, describeEdit(edit), undo);
    });
    const all = make("button", { type: "button", className: "quiet small", disabled: busy }, "Undo all");
    all.addEventListener("click", () => this.send([]));
    this.changes.replaceChildren(
      ...(edits.length ? [make("h3", {}, "Your changes"), make("ul", { className: "plain" }, ...rows), edits.length > 1 ? all : ""] : []),
    );
  }
}

const MARKS = { good: "✓", doubtful: "?", bad: "✗" };

function makeVerdict(verdict) {
  return make("span", { className: `verdict ${verdict}` }, `${MARKS[verdict] || ""} ${verdict || "not judged"}`);
}
