// Two clips in step: loaded ahead, looped together, moved frame by frame by one scrubber.

import { Away } from "./shared.js";

const once = (target, name) =>
  new Promise((done) => target.addEventListener(name, done, { once: true }));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Fetches a clip and makes a video of it that can be shown at once. */
async function loadClip(ask, address, known) {
  const response = await ask("GET", address, undefined, "raw");
  let url;
  try {
    url = URL.createObjectURL(await response.blob());
  } catch (error) {
    throw new Away(String(error));
  }
  const fps = Number(response.headers.get("Clip-Fps")) || known.fps;
  const frames = Number(response.headers.get("Clip-Frames")) || known.frames;
  const [first, stop] = (response.headers.get("Clip-Counts") ?? `0-${frames}`).split("-").map(Number);
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  video.disablePictureInPicture = true;
  video.src = url;
  await new Promise((done, failed) => {
    video.addEventListener("canplaythrough", done, { once: true });
    video.addEventListener("error", () => failed(new Error("the clip cannot be played")), { once: true });
  });
  return { video, url, fps, frames, first, stop };
}

/** A question with both of its clips, ready to be shown; `known` is what the service does not say. */
export async function loadPair(ask, question, known = { fps: 30, frames: 1 }) {
  const clips = await Promise.all([question.left, question.right].map((one) => loadClip(ask, one, known)));
  return { question, clips, shownAt: 0 };
}

export function dropPair(pair) {
  for (const clip of pair?.clips ?? []) {
    clip.video.pause();
    clip.video.removeAttribute("src");
    clip.video.load();
    clip.video.remove();
    URL.revokeObjectURL(clip.url);
  }
}

/** Shows one pair at a time in two places, and keeps its clips together. */
export class Player {
  constructor(places, { onFrame, onPause }) {
    this.places = places;
    this.onFrame = onFrame;
    this.onPause = onPause;
    this.pair = null;
    this.isSlow = false;
    this.isPaused = false;
    this.turn = 0; // grows with each start, so that one that is overtaken stops
  }

  get numFrames() {
    return Math.max(1, ...(this.pair?.clips ?? []).map((clip) => clip.frames));
  }

  show(pair) {
    this.hide();
    this.pair = pair;
    pair.clips.forEach((clip, side) => this.places[side].prepend(clip.video));
    pair.shownAt = performance.now();
    this.isPaused = calm.matches;
    this.onPause(this.isPaused);
    this.onFrame(0);
    if (!this.isPaused) this.#loop();
  }

  hide() {
    this.turn += 1;
    for (const clip of this.pair?.clips ?? []) {
      clip.video.pause();
      clip.video.remove();
    }
    this.pair = null;
  }

  async #loop() {
    const turn = ++this.turn;
    const videos = this.pair.clips.map((clip) => clip.video);
    while (turn === this.turn) {
      // Started at the same frame in the same moment, and again when both have ended.
      await this.#seek(0);
      if (turn !== this.turn) return;
      await this.#run(turn, videos);
    }
  }

  async #run(turn, videos) {
    const ended = Promise.all(videos.map((video) => once(video, "ended")));
    this.setSlow(this.isSlow);
    try {
      await Promise.all(videos.map((video) => video.play()));
    } catch {
      if (turn === this.turn) this.pause();
      return;
    }
    this.#follow(turn);
    await Promise.race([ended, this.#overtaken(turn)]);
  }

  #overtaken(turn) {
    return new Promise((done) => {
      const look = () => (turn === this.turn ? requestAnimationFrame(look) : done());
      look();
    });
  }

  #follow(turn) {
    const look = () => {
      if (turn !== this.turn || !this.pair) return;
      this.onFrame(this.frame());
      if (!this.isPaused) requestAnimationFrame(look);
    };
    look();
  }

  frame() {
    const frames = this.pair.clips.map((clip) =>
      Math.min(Math.floor(clip.video.currentTime * clip.fps + 1e-3), clip.frames - 1));
    return Math.max(0, ...frames);
  }

  async #seek(frame) {
    await Promise.all(this.pair.clips.map((clip) => {
      const at = Math.min(frame, clip.frames - 1);
      const time = at === 0 ? 0 : (at + 0.5) / clip.fps;
      clip.video.pause();
      if (clip.video.currentTime === time) return null; // as a clip that was just loaded
      const there = once(clip.video, "seeked");
      clip.video.currentTime = time;
      return there;
    }));
  }

  /** Stands still, with both clips at one frame: while they run, one may be a frame ahead. */
  async pause() {
    if (!this.pair) return;
    this.#halt();
    await this.#seek(this.frame());
  }

  #halt() {
    this.turn += 1;
    this.isPaused = true;
    for (const clip of this.pair.clips) clip.video.pause();
    this.onPause(true);
  }

  /** Goes on from where it stands; at the end, from the beginning. */
  async resume() {
    if (!this.pair) return;
    const turn = ++this.turn;
    this.isPaused = false;
    this.onPause(false);
    const videos = this.pair.clips.map((clip) => clip.video);
    const running = videos.filter((video) => !video.ended);
    if (running.length === videos.length) await this.#run(turn, videos);
    if (turn === this.turn) this.#loop();
  }

  toggle() {
    if (this.isPaused) this.resume();
    else this.pause();
  }

  async goTo(frame) {
    if (!this.pair) return;
    this.#halt();
    const at = Math.max(0, Math.min(frame, this.numFrames - 1));
    this.onFrame(at);
    await this.#seek(at);
  }

  setSlow(isSlow) {
    this.isSlow = isSlow;
    for (const clip of this.pair?.clips ?? []) clip.video.playbackRate = isSlow ? 0.5 : 1;
  }
}
