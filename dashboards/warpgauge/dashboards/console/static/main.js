// The console: asks once, then lives on the event stream; falls back to asking again when the stream breaks.

import { byId, tell } from "./dom.js";
import { clockTime } from "./format.js";
import { closeOnEscape, openDevice } from "./device.js";
import { showFindings } from "./findings.js";
import { showFleet, startFleet } from "./fleet.js";
import { showHosts } from "./hosts.js";
import { isSilent, showCoverage, showNext, showRecommendations, showStatus } from "./overview.js";
import { askForPlan, showPlanAge } from "./plan.js";
import * as place from "./place.js";

const state = { live: null, findings: [], openedFromUrl: false };

function onTick(tick) {
  state.findings = tick.findings;
  showStatus(tick.status, tick.findings);
  showFindings(tick.findings, tick.time, { ready: tick.status.checked.length > 0, silent: isSilent(tick.status) });
  showCoverage(tick.status);
  showRecommendations(tick.recommendations);
  showNext(tick.status);
  if (state.live) showFleet(state.live, state.findings);
}

function onLive(live) {
  state.live = live;
  showHosts(live);
  showFleet(live, state.findings);
  showPlanAge(live.time);
  connection(`live · ${clockTime(live.time)}`);
  if (!state.openedFromUrl && live.devices.length) {
    state.openedFromUrl = true;
    const device = live.devices.find((one) => one.uuid === place.get("device"));
    if (device) openDevice(device);
  }
}

function connection(text, { lost = false } = {}) {
  const line = byId("connection");
  if (lost) line.setAttribute("role", "alert");
  else line.removeAttribute("role"); // the time of each minute is news to nobody
  tell(line, text);
  line.classList.toggle("lost", lost);
}

function listen() {
  const stream = new EventSource("api/v1/stream");
  stream.addEventListener("tick", (event) => onTick(JSON.parse(event.data)));
  stream.addEventListener("live", (event) => onLive(JSON.parse(event.data)));
  stream.addEventListener("plan", askForPlan);
  stream.addEventListener("error", () => connection("connection lost, trying again; what you see may be old", { lost: true }));
}

function theme() {
  const order = ["system", "light", "dark"];
  const button = byId("theme");
  const apply = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    place.set("theme", name === "system" ? null : name);
  };
  let current = order.includes(place.get("theme")) ? place.get("theme") : "system";
  apply(current);
  button.addEventListener("click", () => {
    current = order[(order.indexOf(current) + 1) % order.length];
    apply(current);
  });
}

async function first() {
  const ask = async (path) => (await fetch(`api/v1/${path}`)).json();
  try {
    const [status, findings, recommendations, live] = await Promise.all([ask("status"), ask("findings"), ask("recommendations"), ask("live")]);
    onTick({ time: status.time, status, findings: findings.findings, recommendations: recommendations.recommendations });
    onLive(live);
  } catch (error) {
    connection(`no answer from the analyzer (${error.message})`, { lost: true });
  }
}

theme();
startFleet(openDevice);
closeOnEscape();
await first();
await askForPlan();
listen();
