// The owner's page: annotators, questions, how well it all goes.

import { $, BASE, Refusal, asker, count, element, forgetToken, sleep, takeToken } from "./shared.js";

const REFRESH_S = 5;
const NEAR = /^(localhost|127\..*|\[::1\])$/; // what other machines take for themselves
const token = takeToken("owner");
const ask = asker(token);
let isPaused = false;
let isOver = false;

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

/** Runs what somebody asked for; says in a line what went wrong. */
async function attempt(what) {
  try {
    await what();
    say("");
  } catch (error) {
    if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
      isOver = true;
      forgetToken("owner");
      for (const id of ["all", "asking", "people", "asked"]) $(id).hidden = true;
      say("This link does not open the owner's page, or not any more.");
    } else say(error.isAway ? "The service cannot be reached; trying again. It ends when its run does." : `${error.message}.`);
  }
}

const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)}%`);
const of = (share) => (share.share === null ? "–" : `${percent(share.share)} of ${count(share.num)}`);
const rounded = (number, digits = 0) => (number === null ? "–" : number.toFixed(digits));

function cell(content, isNumber = false) {
  return element("td", isNumber ? { class: "number" } : {}, content);
}

function fillTable(table, heads, rows) {
  const head = element("tr", {}, ...heads.map(([text, isNumber]) =>
    element("th", isNumber ? { scope: "col", class: "number" } : { scope: "col" }, text)));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

function tile(name, value, more = "") {
  const shown = element("dd", {}, value);
  if (more) shown.append(element("small", {}, more));
  return element("div", { class: "tile" }, element("dt", {}, name), shown);
}

function interval(share) {
  return share.share === null ? "nothing to tell from yet"
    : `${percent(share.low)} to ${percent(share.high)}, of ${count(share.num)}`;
}

async function showOverview() {
  const told = await ask("GET", "/overview");
  isPaused = told.is_paused;
  $("pause").textContent = isPaused ? "Go on asking" : "Pause the asking";
  $("tiles").replaceChildren(
    tile("Answered", count(told.answered), told.budget === null ? "" : `of ${count(told.budget)}`),
    tile("Open", count(told.open), `${count(told.leased)} being looked at`),
    tile("Skipped", count(told.skipped)),
    tile("Withdrawn", count(told.withdrawn)),
    tile("Repeats", count(told.repeats_answered), `of ${count(told.repeats)} answered`),
    tile("Model's accuracy", percent(told.accuracy), "on held-out answers"),
    tile("Model foresaw", percent(told.model_agreement.share), interval(told.model_agreement)),
    tile("Agreement", percent(told.agreement.share),
      told.kappa === null ? interval(told.agreement) : `kappa ${told.kappa.toFixed(2)}`),
  );
  fillTable($("annotators"), [
    ["Name"], ["Answers", true], ["Ties", true], ["Skips", true], ["An hour", true], ["Seconds each", true],
    ["Agrees with self", true], ["Says left", true], ["Model foresaw", true], ["Link"],
  ], told.annotators.map(annotatorRow));
  $("pairs-part").hidden = told.pairs.length === 0;
  fillTable($("pairs"), [["Annotators"], ["Same answer", true], ["Cohen's kappa", true]],
    told.pairs.map((pair) => element("tr", {}, cell(pair.annotators.join(" and ")),
      cell(of(pair.agreement), true), cell(rounded(pair.kappa, 2), true))));
  const failed = Object.entries(told.clip_failures);
  $("faults").hidden = failed.length === 0;
  if (failed.length) {
    const num = failed.length === 1 ? "1 question" : `${failed.length} questions`;
    $("faults").textContent = `${num} cannot be shown; question ${failed[0][0]}: ${failed[0][1]}`;
  }
}

/** Says how far the run is, and what it waits for. */
async function showRun() {
  const run = await ask("GET", "/run");
  $("env").textContent = run.env_id;
  const all = run.num_steps === null ? "" : ` of ${count(run.num_steps)}`;
  const words = [];
  if (run.num_steps !== null || run.step) words.push(`Step ${count(run.step)}${all}.`);
  if (run.has_ended) words.push("The run has ended.");
  else if (isPaused) words.push("The asking is paused.");
  if (run.waits_for) words.push(run.waits_for);
  $("stands").textContent = words.join(" ");
  $("stands").hidden = words.length === 0;
}

function annotatorRow(one) {
  const actions = element("td", {});
  if (one.is_invited) {
    actions.append(
      action("New link", () => invite("/annotators/tokens", one.name,
        `The old link of ${one.name} will not be valid any more. Make a new one?`)),
      " ",
      action("Revoke", () => revoke(one.name), "small danger"),
    );
  } else actions.append(element("span", { class: "quiet" }, "not invited"));
  return element("tr", {},
    cell(one.name), cell(count(one.num_answers), true), cell(count(one.num_ties), true),
    cell(count(one.num_skips), true), cell(rounded(one.answers_per_hour), true),
    cell(rounded(one.median_response_time_s, 1), true), cell(of(one.self_agreement), true),
    cell(of(one.left_share), true), cell(of(one.model_agreement), true), actions);
}

function action(text, what, kind = "small") {
  const button = element("button", { type: "button", class: kind }, text);
  button.addEventListener("click", () => attempt(what));
  return button;
}

async function invite(path, name, question) {
  if (question && !confirm(question)) return;
  const made = await ask("POST", path, { name });
  const address = new URL(`${made.url || BASE.href}#token=${made.token}`);
  const reach = NEAR.test(address.hostname) ? " It opens on this machine only." : "";
  $("invited").textContent = `The link of ${made.name}. It is shown only this once.${reach}`;
  $("link").textContent = address.href;
  for (const id of ["invited", "link"]) $(id).hidden = false;
  await showOverview();
}

async function revoke(name) {
  if (!confirm(`Remove ${name}? Their link will not be valid any more; their answers stay.`)) return;
  await ask("DELETE", `/annotators/${encodeURIComponent(name)}`);
  await showOverview();
}

let oldest = null;
let hasOlder = false; // which somebody is reading: the table stays as it is

async function showQuestions(isMore = false) {
  const query = new URLSearchParams();
  if ($("state").value) query.set("state", $("state").value);
  if (isMore && oldest !== null) query.set("before", oldest);
  const told = await ask("GET", `/questions?${query}`);
  oldest = told.before;
  hasOlder = isMore;
  $("older").hidden = oldest === null;
  const rows = told.questions.map((one) => element("tr", {},
    cell(String(one.id), true), cell(one.holder ? `${one.state} by ${one.holder}` : one.state),
    cell(one.answers.map((answer) => `${answer.annotator}: ${answer.said}`).join(", ") || "–"),
    cell(percent(one.p_left), true),
    cell(one.p_left_by_head.map((chance) => percent(chance)).join(" ") || "–")));
  if (isMore) $("questions").tBodies[0].append(...rows);
  else {
    fillTable($("questions"),
      [["Question", true], ["State"], ["Answers"], ["Model: left", true], ["Its heads"]], rows);
  }
}

async function download() {
  const response = await ask("GET", "/export", undefined, "raw");
  const url = URL.createObjectURL(await response.blob());
  const link = element("a", { href: url, download: "comparisons.npz" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function start() {
  if (!token) return say("Open the owner's link: it is in labelling.json, and the run has printed it.");
  $("invite").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => invite("/annotators", $("name").value)).then(() => { $("name").value = ""; });
  });
  $("pause").addEventListener("click", () => attempt(async () => {
    await ask("PUT", "/asking", { is_paused: !isPaused });
    await showOverview();
    await showRun();
  }));
  $("export").addEventListener("click", () => attempt(download));
  $("state").addEventListener("change", () => attempt(() => showQuestions()));
  $("older").addEventListener("click", () => attempt(() => showQuestions(true)));
  await attempt(() => showQuestions());
  if (isOver) return;
  for (const id of ["all", "asking", "people", "asked"]) $(id).hidden = false;
  while (!isOver) {
    if (document.visibilityState === "visible") {
      await attempt(async () => {
        await showOverview();
        await showRun();
        if (!hasOlder) await showQuestions();
      });
    }
    await sleep(REFRESH_S);
  }
}

start();
