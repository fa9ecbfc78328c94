"""The page's script: draws the rolls, moves the playheads, plays one song at a time."""

SCRIPT = """
"use strict";
(() => {
  const AXIS = 18, RIBBON = 24, MAX_CANVAS = 16000;
  const cards = [];
  const clock = (seconds) => {
    const whole = Math.floor(seconds + 1e-6);
    return Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0");
  };
  const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  class Card {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script").textContent);
      this.audio = root.querySelector("audio");
      this.scroller = root.querySelector(".scroll");
      this.roll = root.querySelector(".roll");
      this.pitches = root.querySelector(".pitches");
      this.canvas = root.querySelector("canvas");
      this.playhead = root.querySelector(".playhead");
      this.field = root.querySelector(".field");
      this.form = root.querySelector(".form");
      this.time = root.querySelector(".time");
      this.slider = root.querySelector("input");
      this.zoom = 1;
      this.hidden = new Set();
      this.songSeconds = this.data.numBars * this.data.stepsPerBar * this.data.secondsPerStep;
      let low = 127, high = 0;
      for (const track of this.data.tracks) {
        for (let k = 1; k < track.notes.length; k += 4) {
          low = Math.min(low, track.notes[k]);
          high = Math.max(high, track.notes[k]);
        }
      }
      if (low > high) { low = 60; high = 72; }
      const spare = Math.max(4, 25 - (high - low));
      this.low = low - Math.ceil(spare / 2);
      this.high = high + Math.floor(spare / 2);
      this.listen();
    }

    listen() {
      const { audio, root } = this;
      root.querySelector(".play").addEventListener("click", () => this.toggle());
      audio.addEventListener("play", () => {
        for (const other of cards) if (other !== this) other.audio.pause();
        root.classList.add("playing", "started");
        this.follow();
      });
      audio.addEventListener("pause", () => root.classList.remove("playing"));
      audio.addEventListener("ended", () => { audio.currentTime = 0; this.show(0); });
      audio.addEventListener("timeupdate", () => this.show(audio.currentTime));
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
      this.scroller.addEventListener("click", (event) => {
        const box = this.roll.getBoundingClientRect();
        this.seek((event.clientX - box.left) / box.width * this.songSeconds);
      });
      if (this.field) {
        this.field.addEventListener("click", (event) => {
          const box = this.field.getBoundingClientRect();
          const share = (event.clientX - box.left) / box.width;
          const bar = Math.floor(share * this.data.numBars);
          this.seek(bar / this.data.numBars * this.songSeconds);
        });
      }
      if (this.form) {
        const mark = (event, shown) => {
          const source = event.target.dataset.source;
          if (source) event.target.parentNode.children[source].classList.toggle("source", shown);
        };
        this.form.addEventListener("mouseover", (event) => mark(event, true));
        this.form.addEventListener("mouseout", (event) => mark(event, false));
      }
      for (const chip of root.querySelectorAll(".chip")) {
        chip.addEventListener("click", () => {
          const program = Number(chip.dataset.program);
          const shown = this.hidden.delete(program);
          if (!shown) this.hidden.add(program);
          chip.setAttribute("aria-pressed", String(shown));
          this.draw();
        });
      }
      for (const button of root.querySelectorAll(".zoom")) {
        button.addEventListener("click", () => this.magnify(Number(button.dataset.factor)));
      }
      new ResizeObserver(() => this.draw()).observe(this.scroller);
    }

    toggle() {
      if (!this.audio.paused) { this.audio.pause(); return; }
      if (this.audio.currentTime >= this.data.audioSeconds - 0.05) this.audio.currentTime = 0;
      this.audio.play();
    }

    seek(seconds) {
      const target = Math.max(0, Math.min(seconds, this.data.audioSeconds - 0.05));
      this.root.classList.add("started");
      this.audio.currentTime = target;
      this.show(target);
    }

    follow() {
      if (this.audio.paused) return;
      this.show(this.audio.currentTime, true);
      requestAnimationFrame(() => this.follow());
    }

    show(seconds, keepInSight = false) {
      const share = this.songSeconds ? Math.min(1, seconds / this.songSeconds) : 0;
      const x = share * this.roll.clientWidth;
      this.playhead.style.transform = "translateX(" + x + "px)";
      this.time.textContent = clock(seconds) + " / " + clock(this.data.audioSeconds);
      this.slider.value = String(seconds);
      this.slider.style.setProperty("--share", seconds / this.data.audioSeconds * 100 + "%");
      if (this.field) {
        const bars = this.data.numBars;
        const place = (Math.min(bars - 1, Math.floor(share * bars)) + 0.5) / bars * 100 + "%";
        this.field.querySelector(".x").style.left = place;
        this.field.querySelector(".y").style.top = place;
      }
      const view = this.scroller;
      if (keepInSight && (x < view.scrollLeft || x > view.scrollLeft + view.clientWidth * 0.9)) {
        view.scrollLeft = x - view.clientWidth * 0.1;
      }
    }

    magnify(factor) {
      const view = this.scroller;
      const middle = (view.scrollLeft + view.clientWidth / 2) / this.roll.clientWidth;
      this.zoom = Math.max(1, Math.min(16, this.zoom * factor));
      this.draw();
      view.scrollLeft = middle * this.roll.clientWidth - view.clientWidth / 2;
      this.show(this.audio.currentTime);
    }

    draw() {
      const ratio = Math.max(1, window.devicePixelRatio || 1);
      const ribbon = this.data.sections.length ? RIBBON : 0;
      const wide = Math.max(this.scroller.clientWidth, this.data.numBars * 7) * this.zoom;
      const width = Math.floor(Math.min(wide, MAX_CANVAS / ratio));
      const below = this.form ? this.form.offsetHeight : 0;
      const height = this.scroller.clientHeight - ribbon - below;
      this.roll.style.width = width + "px";
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = width + "px";
      this.canvas.style.height = height + "px";
      this.canvas.style.bottom = below + "px";
      const pen = this.canvas.getContext("2d");
      pen.scale(ratio, ratio);
      this.placePitches(ribbon, height);
      this.drawGrid(pen, width, height);
      this.drawNotes(pen, width, height);
      this.show(this.audio.currentTime);
    }

    placePitches(top, height) {
      const row = (height - AXIS) / (this.high - this.low + 1), labels = [];
      for (let pitch = this.low; pitch <= this.high; pitch++) {
        const y = top + (this.high - pitch + 0.5) * row;
        if (pitch % 12 || y < top + 5) continue;
        const label = document.createElement("span");
        label.textContent = "C" + (pitch / 12 - 1);
        label.style.top = y + "px";
        labels.push(label);
      }
      this.pitches.replaceChildren(...labels);
    }

    drawGrid(pen, width, height) {
      const bars = Math.max(1, this.data.numBars), bar = width / bars, bottom = height - AXIS;
      const row = bottom / (this.high - this.low + 1);
      for (const [start, length, colour] of this.data.sections) {
        pen.globalAlpha = 0.1;
        pen.fillStyle = colour;
        pen.fillRect(start * bar, 0, length * bar, bottom);
      }
      pen.globalAlpha = 1;
      const every = [1, 2, 4, 8, 16, 32].find((count) => count * bar >= 34) || 64;
      pen.font = "10.5px system-ui, sans-serif";
      for (let k = 0; k < bars; k++) {
        if (bar < 6 && k % every) continue;
        pen.fillStyle = shade(k % every ? "--grid" : "--grid-strong");
        pen.fillRect(Math.round(k * bar), 0, 1, bottom);
        if (k % every) continue;
        pen.fillStyle = shade("--soft");
        pen.fillText(String(k + 1), k * bar + 3, height - 5);
      }
      for (let pitch = this.low; pitch <= this.high; pitch++) {
        if (pitch % 12) continue;
        pen.fillStyle = shade("--grid-strong");
        pen.fillRect(0, Math.round((this.high - pitch + 1) * row), width, 1);
      }
      pen.fillStyle = shade("--grid-strong");
      for (const [start] of this.data.sections) {
        pen.fillRect(Math.round(start * bar) - 1, 0, start ? 2 : 0, bottom);
      }
      pen.fillRect(0, Math.round(bottom), width, 1);
    }

    drawNotes(pen, width, height) {
      const step = width / Math.max(1, this.data.numBars * this.data.stepsPerBar);
      const row = (height - AXIS) / (this.high - this.low + 1);
      const tall = Math.max(2, row - (row > 4 ? 1 : 0));
      for (const track of this.data.tracks) {
        if (this.hidden.has(track.program)) continue;
        pen.fillStyle = track.colour;
        for (let k = 0; k < track.notes.length; k += 4) {
          const [onset, pitch, duration, velocity] = track.notes.slice(k, k + 4);
          const long = Math.max(1.2, duration * step - 0.6);
          pen.globalAlpha = 0.5 + 0.5 * velocity / 127;
          pen.beginPath();
          pen.roundRect(onset * step, (this.high - pitch) * row, long, tall,
            Math.min(2.5, long / 2, tall / 2));
          pen.fill();
        }
      }
      pen.globalAlpha = 1;
    }
  }

  for (const root of document.querySelectorAll(".song")) cards.push(new Card(root));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const card of cards) card.draw();
  });
})();
"""
