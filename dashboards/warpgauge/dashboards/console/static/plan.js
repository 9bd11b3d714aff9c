// What moves where: the plan of the scheduling core's pool, its age, and why nothing moves where nothing does.

import { byId, element, replace, table } from "./dom.js";
import { duration, plural, since } from "./format.js";
import { nodeMap } from "./plan_map.js";

const FEW = 8; // rows that stand open
const CORES = { slurm: "Slurm", kubernetes: "Kubernetes", yarn: "YARN" };

let newest = null;

export async function askForPlan() {
  try {
    const answer = await fetch("api/v1/plan");
    if (answer.ok) showPlan(await answer.json());
  } catch {
    // the connection line says that nobody answers; what stands has its age
  }
}

/** The age of what is shown, told anew as time goes by. */
export function showPlanAge(now) {
  const line = document.getElementById("plan-age");
  if (!line || newest?.read === undefined) return;
  line.textContent = `As ${CORES[newest.core] ?? "the simulated fleet"} was at ${since(newest.read, now)}, read and planned in ${duration(newest.took_seconds)}, again every ${duration(newest.interval_seconds)}.`;
}

export function showPlan(page) {
  newest = page;
  byId("plan-section").hidden = page.state === "off";
  if (page.state === "off") return;
  byId("plan-simulated").hidden = !page.simulated;
  replace(byId("plan"), trouble(page), page.plan ? body(page) : null);
  if (page.read !== undefined) showPlanAge(page.read + page.age_seconds);
}

function trouble(page) {
  if (page.state === "current") return null;
  if (page.state === "waiting") return element("p", { class: "empty" }, page.says);
  return element("article", { class: "finding warning" },
    element("p", {}, element("strong", { class: "severity warning" }, page.state === "failed" ? "▲ no plan " : "▲ old "), page.says),
    page.mend ? element("p", { class: "remedy" }, element("strong", {}, "Do: "), page.mend) : null);
}

function body(page) {
  const plan = page.plan;
  return [
    element("p", { class: "plan-headline" }, plan.headline),
    element("p", { class: "quiet", id: "plan-age" }),
    element("div", { class: "columns" },
      element("div", {}, ...plan.goals.map((goal) => goalCard(goal, plan.more.moves)), ...page.advice.map(adviceCard)),
      element("div", {}, counts(plan.devices), places(plan), waiting(plan), leftOut(plan))),
    nodeMap(plan),
    ...plan.notes.map((note) => element("p", { class: "quiet" }, note)),
  ];
}

function goalCard(goal, moreMoves) {
  const has = goal.moves.length > 0;
  return element("article", { class: "card plan-goal" },
    element("h3", {}, goal.title),
    element("p", {}, has ? "Move, in this order:" : `No move: ${goal.reason.replace(/^nothing worth moving: /, "")}.`),
    has ? steps(goal.moves) : null,
    has && moreMoves ? element("p", { class: "quiet" }, `and ${plural(moreMoves, "move")} more: warpgauge plan --json lists all`) : null,
    has ? element("p", {}, element("strong", {}, "Gain: "), `${goal.reason}.`,
      goal.then_fit.length ? ` Then run: ${someOf(goal.then_fit)}.` : null) : null,
    has ? element("p", {}, element("strong", {}, "Cost: "), `${goal.cost.text}.`) : null,
    has ? element("details", {}, element("summary", { "data-key": `undo-${goal.goal}` }, "Undo: the same moves backwards"), steps(goal.undo)) : null);
}

const someOf = (names) => names.slice(0, FEW).join(", ") + (names.length > FEW ? ` and ${names.length - FEW} more` : "");

function steps(moves) {
  const list = (rows, start) => element("ol", { class: "steps", start }, rows.map((move) => element("li", {}, move.text)));
  if (moves.length <= FEW) return list(moves, 1);
  return element("div", {}, list(moves.slice(0, FEW), 1),
    element("details", {}, element("summary", {}, `${plural(moves.length - FEW, "step")} more`), list(moves.slice(FEW), FEW + 1)));
}

function adviceCard(one) {
  return element("article", { class: "card plan-goal" },
    element("h3", {}, one.goal, " ", element("span", { class: "quiet" }, "by what was measured, see Recommendations")),
    element("p", {}, one.text),
    one.gain ? element("p", {}, element("strong", {}, "Gain: "), one.gain) : null,
    one.undo ? element("p", {}, element("strong", {}, "Undo: "), one.undo) : null);
}

function counts(devices) {
  const row = (name, one) => [name, String(one.in_use), String(one.free_on_empty_nodes), String(one.free_beside_others)];
  return element("div", {}, element("h3", {}, `Devices: ${devices.before.total}`),
    table(["", "in use", "free on empty nodes", "free beside others"], [row("now", devices.before), row("after the plan", devices.after)], { numeric: [1, 2, 3] }));
}

function places(plan) {
  if (!plan.placements.length) return null;
  const more = plan.more.placements ? element("p", { class: "quiet" }, `and ${plan.more.placements} more`) : null;
  return element("div", {}, element("h3", {}, "Has a place now"), steps(plan.placements), more);
}

function waiting(plan) {
  if (!plan.waiting.length) return null;
  const row = (one) => [one.name, one.tenant || "–", one.fits_after_moves ? "✔ runs after the moves" : one.why];
  const shown = table(["waits on", "whose", "why"], plan.waiting.slice(0, FEW).map(row));
  const rest = plan.waiting.slice(FEW);
  return element("div", { class: "plan-waiting" }, element("h3", {}, "Has no place now"), shown,
    rest.length ? element("details", {}, element("summary", { "data-key": "waiting" }, `${plural(rest.length + (plan.more.waiting ?? 0), "job")} more`), table(["waits on", "whose", "why"], rest.map(row))) : null);
}

function leftOut(plan) {
  if (!plan.left_out.length) return null;
  const all = plan.left_out.length + (plan.more.left_out ?? 0);
  return element("details", {}, element("summary", { "data-key": "left-out" }, `${all} left out of the plan, with what runs there`),
    table(["what", "why"], plan.left_out.map((one) => [one.what, one.why])));
}
