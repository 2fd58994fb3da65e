// What else a user may know of a result: who is somebody else from when on, what touches the ground, where the floor is, and sizes.

import { complain, make } from "./dom.js";
import { POINTS } from "./edits.js";
import { Picker, readPlaces, writePlaces } from "./picker.js";

const KINDS = {
  split: "Somebody is another person from a moment on",
  contact: "A foot touches the ground, or does not",
  floor: "Where the floor is",
  known_distance: "How far two places are from one another",
  closed_loop: "The camera ends where it began",
};
const HELP = {
  split: "From this time on they are one person more, with the next free number.",
  contact: "Heel or toe is held where it is, or is free, in the pictures of this span.",
  floor: "Click three or more places on the floor, not on one line; they may be in several pictures of one shot.",
  known_distance: "Click both ends in one picture. Say distances or heights of people, not both.",
  closed_loop: "What the path of the camera misses by is shared out over the way. Say it only of a camera that came back.",
};
/** Which fields a kind has. */
const FIELDS = {
  split: ["person", "at_s"],
  contact: ["person", "point", "touches", "from_s", "to_s"],
  floor: ["places"],
  known_distance: ["places", "metres"],
  closed_loop: ["shot"],
};
const LABELS = {
  person: "Person", point: "Point of the foot", touches: "Contact", at_s: "From this time on, seconds", from_s: "From, seconds", to_s: "To, seconds",
  places: "Places, x,y@seconds", metres: "Distance, metres", shot: "Shot",
};
const TIMES = ["at_s", "from_s", "to_s"];

export class Corrections {
  /** `add` is given every edit that was filled in. */
  constructor(jobId, add) {
    this.add = add;
    this.kind = make("select", { id: "edit-kind" }, ...makeOptions(KINDS));
    this.picker = new Picker(jobId, (place) => this.choosePlace(place));
    this.inputs = {
      person: make("select"),
      point: make("select", {}, ...makeOptions(POINTS)),
      touches: make("select", {}, ...makeOptions({ true: "touches the ground", false: "does not touch the ground" })),
      places: make("input", { type: "text", className: "long", placeholder: "120,400@2.5 310,402@2.5" }),
      metres: make("input", { type: "number", min: "0", step: "any", placeholder: "1.80" }),
      shot: make("select"),
    };
    for (const name of TIMES) this.inputs[name] = make("input", { type: "number", min: "0", step: "any", placeholder: "0.00" });
    this.inputs.places.addEventListener("change", () => this.showPlaces());
    this.rows = Object.fromEntries(Object.keys(LABELS).map((name) => [name, this.makeRow(name)]));
    this.help = make("p", { className: "faint", id: "edit-help" });
    this.button = make("button", { type: "submit" }, "Apply");
    this.element = make(
      "form",
      { className: "card after", noValidate: true },
      make("h2", {}, "What else you know"),
      make("div", { className: "options" }, make("label", { htmlFor: "edit-kind" }, "You know"), this.kind),
      this.help,
      this.picker.element,
      make("div", { className: "options" }, ...Object.values(this.rows).flat()),
      make("div", { className: "row after" }, this.button),
    );
    this.kind.addEventListener("change", () => this.showKind());
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.showKind();
  }

  makeRow(name) {
    const field = this.inputs[name];
    field.id = `edit-${name}`;
    const label = make("label", { htmlFor: field.id }, LABELS[name]);
    const button = TIMES.includes(name)
      ? this.makeButton("Use the time shown above", `Use the time shown above for: ${LABELS[name]}`, () => (field.value = this.picker.now?.time_s ?? ""))
      : name === "places"
        ? this.makeButton("Remove the places", "", () => this.setPlaces([]))
        : null;
    return [label, make("div", { className: "row" }, field, button)];
  }

  makeButton(text, label, act) {
    const button = make("button", { type: "button", className: "quiet small", "aria-label": label || undefined }, text);
    button.addEventListener("click", act);
    return button;
  }

  setResult({ report, people }) {
    const rows = report.people || [];
    fill(this.inputs.person, rows.map((row) => [row.id, `person ${row.id}`]));
    fill(this.inputs.shot, (report.shots || []).map((_, shot) => [shot, `shot ${shot + 1}`]));
    for (const option of this.kind.options) option.disabled = FIELDS[option.value].includes("person") && rows.length === 0;
    if (this.kind.selectedOptions[0].disabled) this.kind.value = "floor";
    this.picker.setResult(people, Date.now());
    this.showKind();
  }

  showKind() {
    const wanted = FIELDS[this.kind.value];
    for (const [name, row] of Object.entries(this.rows)) for (const part of row) part.hidden = !wanted.includes(name);
    this.help.textContent = HELP[this.kind.value];
    this.picker.element.hidden = wanted.includes("shot") || this.picker.pictures.length === 0;
    this.picker.element.classList.toggle("chooses", wanted.includes("places"));
    this.showPlaces();
  }

  /** A place that was clicked. The two ends of a distance are the two clicked last. */
  choosePlace(place) {
    if (!FIELDS[this.kind.value].includes("places")) return;
    const places = [...this.readPlaces(), place];
    this.setPlaces(this.kind.value === "known_distance" ? places.slice(-2) : places);
  }

  setPlaces(places) {
    this.inputs.places.value = writePlaces(places);
    this.showPlaces();
  }

  showPlaces() {
    this.picker.setPlaces(FIELDS[this.kind.value].includes("places") ? this.readPlaces() : []);
  }

  /** The places of the field; none, with a sentence on the page, where they cannot be read. */
  readPlaces() {
    try {
      return readPlaces(this.inputs.places.value);
    } catch (error) {
      complain(error.message);
      return [];
    }
  }

  submit() {
    try {
      this.add(this.makeEdit(this.kind.value));
    } catch (error) {
      complain(error.message);
    }
  }

  makeEdit(kind) {
    const text = (name) => this.inputs[name].value;
    if (kind === "floor") return this.makeFloor(readPlaces(text("places")));
    if (kind === "known_distance") return this.makeDistance(readPlaces(text("places")));
    const values = { person: Number(text("person")), point: text("point"), touches: text("touches") === "true", shot: Number(text("shot")) };
    for (const name of FIELDS[kind].filter((one) => TIMES.includes(one))) values[name] = this.readNumber(name);
    return { kind, ...Object.fromEntries(FIELDS[kind].map((name) => [name, values[name]])) };
  }

  makeFloor(places) {
    if (places.length < 3) throw new Error("Choose three or more places on the floor: click on the picture.");
    const shots = new Set(places.map((place) => this.picker.shotAt(place.at_s)));
    if (shots.size > 1) throw new Error("These places are in different shots; each shot has a floor of its own.");
    return { kind: "floor", shot: [...shots][0], points: places.map(({ x, y, at_s }) => [x, y, at_s]) };
  }

  makeDistance(places) {
    if (places.length !== 2) throw new Error("Choose both ends of the distance: click twice on the picture.");
    const [from, to] = places;
    if (from.at_s !== to.at_s) throw new Error("Both ends must be in one picture: their times are different.");
    return { kind: "known_distance", from: [from.x, from.y], to: [to.x, to.y], at_s: from.at_s, metres: this.readNumber("metres") };
  }

  readNumber(name) {
    const text = this.inputs[name].value;
    if (text === "" || !Number.isFinite(Number(text))) throw new Error(`${LABELS[name]}: give a number.`);
    return Number(text);
  }
}

const makeOptions = (words) => Object.entries(words).map(([value, text]) => make("option", { value }, text));

/** Set the choices of a field; what was chosen stays chosen where it is still there. */
function fill(field, choices) {
  const before = field.value;
  field.replaceChildren(...choices.map(([value, text]) => make("option", { value: String(value) }, text)));
  if (choices.some(([value]) => String(value) === before)) field.value = before;
}
