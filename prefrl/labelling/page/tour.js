// The tour on first use: one practice pair, always the same, which nobody counts.

import { loadPair } from "./player.js";
import { $, element } from "./shared.js";

const KEY = "prefrl.toured";
const FILMS = { fps: 20, frames: 40 };
const PRACTICE = {
  left: "/page/practice-left.mp4", right: "/page/practice-right.mp4",
  instructions: "<p>Practice: which ball gets <strong>further</strong>?</p>",
};

const key = (text) => element("kbd", {}, text);

/** Returns the practice pair, or null for whoever has seen it. */
export async function practicePair(ask) {
  if (localStorage.getItem(KEY)) return null;
  const pair = await loadPair(ask, PRACTICE, FILMS);
  pair.isPractice = true;
  $("tour-text").replaceChildren(
    "Both clips play at once, again and again. Press ", key("←"), " or ", key("→"), ", or tap the better clip.");
  $("tour").hidden = false;
  return pair;
}

/** Says what an answer to the practice pair was worth. */
export function practised(said) {
  if (said === "right") {
    $("tour-text").replaceChildren("That is it. ", key("↑"), " is a tie, ", key("↓"), " skips, ",
      key("⌫"), " takes the last answer back, ", key("space"), " pauses.");
    $("tour-end").textContent = "Start";
    $("tour-end").focus();
  } else {
    $("tour-text").replaceChildren("You could say that, but the ball on the right gets further: press ", key("→"), ".");
  }
}

export function endTour() {
  localStorage.setItem(KEY, "yes");
  $("tour").hidden = true;
}
