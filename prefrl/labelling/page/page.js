// The page on which people label: one question on the screen, the next one loaded.

import { drawCurve } from "./curve.js";
import { Outbox } from "./outbox.js";
import { Player, dropPair, loadPair } from "./player.js";
import { endTour, practicePair, practised } from "./tour.js";
import { $, Refusal, asker, count, element, forgetToken, sleep, takeToken } from "./shared.js";

const PRESENCE_S = 20; // a lease lasts a minute
const PROGRESS_S = 5;
const RUN_S = 15;
const NOTHING_S = 2;
const UNSEEN_MS = 200;
const UNREACHABLE = "The service cannot be reached; trying again. It ends when its run does.";
const KEYS = {
  ArrowLeft: "left", 1: "left", ArrowUp: "tie", 2: "tie", ArrowRight: "right", 3: "right",
  ArrowDown: "skip", 4: "skip",
};

const token = takeToken("annotator");
const ask = asker(token, noteConnection);
let current = null; // the pair on the screen
let next = null; // loaded, not shown
let answered = []; // questions, newest last, to undo
let isFilling = false;
let fillTimer;
let undos = 0; // counts what makes a pair that is being loaded out of date
let hasEnded = false;
let policyClip = null;
let isAway = false; // the service, or the connection to it
let drawn = null; // the curve

const places = ["Left", "Right"].map((name) => {
  const place = element("button", { type: "button", class: "side", "data-say": name.toLowerCase(),
    "aria-label": `${name} clip: say ${name.toLowerCase()}`, tabindex: "-1" },
    element("span", { class: "name", "aria-hidden": "true" }, name));
  $("pair").append(place);
  return place;
});
const player = new Player(places, {
  onFrame: (frame) => { $("scrubber").value = frame; },
  onPause: (isPaused) => { $("pause").textContent = isPaused ? "Play" : "Pause"; },
});
const outbox = new Outbox(ask, token.slice(0, 8), {
  told: (entry, refusal) => say(`An answer was not taken: ${refusal.message}.`, 6),
  changed: () => showConnection(),
});

let noticeTimer;
function say(text, seconds) {
  clearTimeout(noticeTimer);
  write("notice", text);
  noticeTimer = setTimeout(() => write("notice", ""), seconds * 1000);
}

/** Shows a text; what says the same already is left alone, as it would be read out once more. */
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = text === "";
}

function noteConnection(isThere) {
  if (isAway === isThere) {
    isAway = !isThere;
    if (isThere && !hasEnded) fill(); // sooner than it would have asked again
  }
  showConnection();
}

/** Says that the connection is lost, and what becomes of answers meanwhile. */
function showConnection() {
  const kept = outbox.size === 1 ? "Your answer is kept and sent" : `Your ${outbox.size} answers are kept and sent`;
  const lost = outbox.isEmpty ? UNREACHABLE : `The connection is lost. ${kept} when it is back.`;
  write("connection", isAway && !hasEnded ? lost : "");
}

function stop(title, text) {
  hasEnded = true;
  player.hide();
  current = null;
  setNext(null);
  $("labelling").hidden = true;
  $("waiting").hidden = false;
  $("undo-waiting").hidden = true;
  for (const id of ["state", "connection", "notice"]) write(id, "");
  write("waiting-title", title);
  write("waiting-text", text);
}

function refuseToken() {
  if (hasEnded) return;
  forgetToken("annotator");
  const num = outbox.clear();
  const lost = num === 0 ? "" : num === 1 ? " Your last answer was not taken." : ` Your last ${num} answers were not taken.`;
  stop("This link is not valid, or not any more", `Ask the owner of the run for a new one.${lost}`);
}

function setNext(pair) {
  next = pair;
  $("pair").toggleAttribute("data-has-next", pair !== null);
}

/** Puts the loaded pair on the screen, at once. */
function advance() {
  if (hasEnded || current || !next) return;
  current = next;
  setNext(null);
  $("waiting").hidden = true;
  $("labelling").hidden = false;
  $("scrubber").max = Math.max(...current.clips.map((clip) => clip.frames)) - 1;
  const longest = current.clips.reduce((one, other) => (other.frames > one.frames ? other : one));
  $("track").style.setProperty("--from", longest.first / longest.frames);
  $("track").style.setProperty("--to", longest.stop / longest.frames);
  // The service makes it of Markdown, without scripts, pictures and HTML of the author's.
  if ($("instructions").dataset.html !== current.question.instructions) {
    $("instructions").dataset.html = current.question.instructions;
    $("instructions").innerHTML = current.question.instructions;
  }
  player.show(current);
}

/** Leases and loads until one question is shown and the next one is ready. */
async function fill() {
  if (isFilling || hasEnded) return;
  isFilling = true;
  clearTimeout(fillTimer);
  let wait = 0;
  try {
    while (!hasEnded && !(current && next)) {
      await outbox.flush(); // else the service would give out once more what was just answered
      const [mark, asked] = [undos, current?.question.id]; // the practice pair has no id
      const question = await ask("GET", asked === undefined ? "/questions/next" : `/questions/next?after=${asked}`);
      if (question === null) {
        wait = NOTHING_S;
        if (!current) showWaiting();
        break;
      }
      const pair = await loadPair(ask, question);
      if (hasEnded || undos !== mark) {
        dropPair(pair); // it stays leased, and comes again
        continue;
      }
      setNext(pair);
      advance();
    }
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) refuseToken();
    else if (!error.isAway) say(`${error.message}; trying again.`, 6);
    wait = Math.max(error.retryAfter ?? 0, NOTHING_S);
  } finally {
    isFilling = false;
  }
  if (wait && !hasEnded) fillTimer = setTimeout(fill, wait * 1000);
}

function showWaiting() {
  if (hasEnded) return; // the last word is said
  player.hide();
  write("state", "");
  $("labelling").hidden = true;
  $("waiting").hidden = false;
  $("undo-waiting").hidden = answered.length === 0;
}

function answer(said) {
  if (!current) return;
  if (performance.now() - current.shownAt < UNSEEN_MS) return; // pressed twice: of this nothing was seen
  if (current.isPractice) return practised(said);
  const pair = current;
  const body = { answer: said, response_time_s: Math.round(performance.now() - pair.shownAt) / 1000 };
  answered.push(pair.question);
  answered = answered.slice(-20);
  $("undo").disabled = false;
  player.hide();
  current = null;
  advance();
  dropPair(pair);
  if (!current) showWaiting();
  outbox.add({ method: "PUT", id: pair.question.id, body }).then(() => {
    fill();
    showProgress();
  }, refuseToken);
}

async function undo() {
  const question = answered.pop();
  if (!question) return;
  undos += 1;
  $("undo").disabled = answered.length === 0;
  const entry = { method: "DELETE", id: question.id };
  try {
    await outbox.add(entry);
    if (!entry.isRefused) {
      const pair = await loadPair(ask, question);
      undos += 1;
      const shown = current;
      player.hide();
      dropPair(next);
      current = null;
      setNext(pair);
      advance();
      setNext(shown); // it stays leased, and comes after this one
    }
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) refuseToken();
    else if (!error.isAway) say(`The clips could not be loaded: ${error.message}.`, 6);
  }
  fill();
  showProgress();
}

async function showProgress() {
  let told;
  try {
    told = await ask("GET", "/progress");
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) refuseToken();
    return;
  }
  $("progress").hidden = false;
  $("answered").textContent = count(told.answered);
  $("budget").textContent = told.budget === null ? "answered" : `of ${count(told.budget)} answered`;
  $("bar").hidden = told.budget === null;
  $("bar").value = told.budget ? told.answered / told.budget : 0;
  const pace = told.answers_per_hour ? ` · ${count(Math.round(told.answers_per_hour))} an hour` : "";
  $("more").textContent = ` · ${count(told.waiting)} waiting`;
  $("pace").textContent = pace;
  if (told.has_ended) return endRun(told);
  write("state", current ? told.waits_for.replace(/\.$/, "") : "");
  write("waiting-title", told.is_paused ? "The asking is paused" : "No question waits for you");
  write("waiting-text", told.why_none);
}

/** Says that no more answers are wanted, once those that were given have arrived. */
async function endRun(told) {
  await outbox.flush().catch(refuseToken);
  if (hasEnded) return;
  const own = told.own_answers === 1 ? "Your answer is kept." : `Your ${count(told.own_answers)} answers are kept.`;
  stop("The run has ended", told.own_answers ? `Thank you. ${own}` : "No more answers are wanted.");
}

async function showPolicy(told) {
  const response = await ask("GET", told.policy_clip, undefined, "raw");
  const video = $("policy-clip");
  URL.revokeObjectURL(video.src);
  video.src = URL.createObjectURL(await response.blob());
  policyClip = told.policy_clip;
  $("policy-step").textContent = told.policy_step === null ? "" : `after ${count(told.policy_step)} steps`;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) video.controls = true;
  else await video.play();
}

async function showRun() {
  const told = await ask("GET", "/run");
  if (hasEnded) return;
  $("env").textContent = told.env_id;
  $("curve-figure").hidden = told.curve.length < 2;
  if (told.curve.length >= 2) {
    drawn = [told.curve, told.curve_name];
    drawCurve($("curve"), ...drawn);
    $("curve-name").textContent = told.curve_name.replace(/^./, (first) => first.toUpperCase());
    const all = told.num_steps === null ? "" : ` of ${count(told.num_steps)}`;
    $("run-step").textContent = `at step ${count(told.step)}${all}`;
  }
  if (told.policy_clip && told.policy_clip !== policyClip) {
    try {
      await showPolicy(told);
    } catch {
      // It is still being rendered, and asked for again.
    }
  }
  $("policy").hidden = !policyClip;
  $("run").hidden = $("policy").hidden && $("curve-figure").hidden;
}

function drawAgain() {
  if (drawn && $("curve").clientWidth) drawCurve($("curve"), ...drawn);
}

function every(seconds, what) {
  setInterval(() => {
    if (document.visibilityState === "visible" && !hasEnded) what().catch(() => {});
  }, seconds * 1000);
}

function listen() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-say]");
    if (button) answer(button.dataset.say);
  });
  $("tour-end").addEventListener("click", leaveTour);
  $("undo").addEventListener("click", undo);
  $("undo-waiting").addEventListener("click", undo);
  $("pause").addEventListener("click", () => player.toggle());
  $("back").addEventListener("click", () => player.goTo(player.frame() - 1));
  $("forward").addEventListener("click", () => player.goTo(player.frame() + 1));
  $("slow").addEventListener("click", toggleSlow);
  $("scrubber").addEventListener("input", (event) => player.goTo(Number(event.target.value)));
  document.addEventListener("keydown", onKey);
  new ResizeObserver(drawAgain).observe($("curve-figure"));
}

function toggleSlow() {
  player.setSlow(!player.isSlow);
  $("slow").setAttribute("aria-pressed", String(player.isSlow));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const isOnScrubber = event.target === $("scrubber");
  const isOnButton = event.target.closest?.("button, a") !== null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key in KEYS && !(isOnScrubber && key.startsWith("Arrow"))) answer(KEYS[key]);
  else if (key === "Backspace" || key === "u") undo();
  else if (key === " " && !isOnButton) player.toggle();
  else if (key === "," && player.pair) player.goTo(player.frame() - 1);
  else if (key === "." && player.pair) player.goTo(player.frame() + 1);
  else if (key === "h") toggleSlow();
  else return;
  event.preventDefault();
}

/** Shows the practice pair to whoever is here for the first time; the first question loads meanwhile. */
async function beginTour() {
  try {
    setNext(await practicePair(ask));
    advance();
  } catch {
    endTour(); // the questions are what matters
  }
}

function leaveTour() {
  endTour();
  if (!current?.isPractice) return;
  const pair = current;
  player.hide();
  current = null;
  advance();
  dropPair(pair);
  if (!current) showWaiting();
  fill();
}

async function start() {
  if (!token) return stop("A link is missing", "Open the link that the owner of the run gave you.");
  listen();
  for (;;) {
    try {
      $("who").textContent = (await ask("GET", "/annotators/me")).name;
      break;
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) return refuseToken();
      if (error instanceof Refusal && error.status === 403) return stop("This is the owner's link", "It opens the owner's page; an annotator's link opens this one.");
      if (!error.isAway) say(`${error.message}; trying again.`, 6);
      await sleep(2);
    }
  }
  await beginTour();
  fill();
  showProgress();
  showRun().catch(() => {});
  every(PROGRESS_S, showProgress);
  every(RUN_S, showRun);
  every(PRESENCE_S, () => (current ? ask("PUT", "/annotators/me/presence") : Promise.resolve()));
}

start();
