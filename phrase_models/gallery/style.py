"""The page's style sheet."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f3f4f9; --card: #ffffff; --roll: #fafbfe; --text: #171b26; --soft: #667085;
  --line: #e3e6ef; --grid: #e9ecf4; --grid-strong: #ccd2e0; --accent: #4a5bf0; --on-accent: #fff;
  --shadow: 0 1px 2px rgba(23, 27, 38, .05), 0 8px 28px rgba(23, 27, 38, .06);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d0f16; --card: #161a24; --roll: #10131b; --text: #e9ecf5; --soft: #949eb4;
    --line: #262c3a; --grid: #1d222e; --grid-strong: #333b4d; --accent: #8390ff;
    --on-accent: #0d0f16; --shadow: 0 8px 28px rgba(0, 0, 0, .35);
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1320px; margin: 0 auto; padding: 44px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 6px; }
h2 { font-size: 19px; letter-spacing: -.01em; margin: 0; }
a { color: var(--accent); }
.subtitle { color: var(--soft); margin: 0; max-width: 75ch; }
.headline {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px;
  margin: 26px 0 0;
}
.headline div, .panel, .song {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  box-shadow: var(--shadow);
}
.headline div { padding: 13px 16px; display: flex; flex-direction: column-reverse; }
.headline dt, .numbers dt { color: var(--soft); font-size: 12.5px; line-height: 1.35; }
.headline dd {
  margin: 0; font-size: 22px; font-weight: 650; letter-spacing: -.015em;
  font-variant-numeric: tabular-nums;
}
.panel { margin: 26px 0; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { padding: 8px 14px; text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 550; border-bottom: 1px solid var(--line); }
td { border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
tbody tr:first-child td { border-top: 0; }
tbody tr:hover td { background: color-mix(in srgb, var(--accent) 7%, transparent); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--card); z-index: 1; }
th:nth-child(2), td:nth-child(2) { text-align: left; }
td:first-child a { color: inherit; font-weight: 600; text-decoration: none; }
td:first-child a:hover { color: var(--accent); text-decoration: underline; }
.mini { display: flex; gap: 1px; width: 190px; height: 12px; border-radius: 4px; overflow: hidden; }
.mini i { display: block; min-width: 1px; }

.song { padding: 20px; margin: 0 0 22px; scroll-margin-top: 16px; }
.song header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; }
.facts { color: var(--soft); font-size: 13.5px; font-variant-numeric: tabular-nums; }
.request { font-size: 13px; color: var(--soft); margin: 2px 0 0; overflow-wrap: anywhere; }
.request b { color: var(--text); font-weight: 600; }
.view { display: grid; grid-template-columns: minmax(0, 1fr) 276px; gap: 18px; margin-top: 14px; }
.view.alone { grid-template-columns: minmax(0, 1fr); }
.shades { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 10px 0 0; font-size: 13px;
  color: var(--soft); }
.shade { display: inline-flex; align-items: center; gap: 4px; }
.shade i { width: 16px; height: 9px; border-radius: 2.5px; }
.shade i:last-of-type { margin-right: 4px; }
.frame {
  position: relative; border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  background: var(--roll); height: 276px; display: grid; grid-template-columns: 28px minmax(0, 1fr);
}
.frame.planned { height: 326px; }
.side { position: relative; border-right: 1px solid var(--grid-strong); }
.pitches { position: absolute; inset: 0; }
.pitches span { position: absolute; right: 5px; transform: translateY(-50%); font-size: 10.5px;
  color: var(--soft); line-height: 1; }
.scroll { overflow-x: auto; overflow-y: hidden; height: 100%; cursor: pointer;
  scrollbar-width: thin; }
.roll { position: relative; height: 100%; min-width: 100%; }
.ribbon { display: flex; height: 24px; gap: 1px; }
.ribbon span {
  overflow: hidden; white-space: nowrap; color: #1a2030; font-size: 12px; line-height: 24px;
  font-weight: 650; text-align: center; min-width: 0;
}
.ribbon small { font-weight: 450; opacity: .68; margin-left: 2px; font-size: 11px; }
.roll canvas { display: block; position: absolute; left: 0; bottom: 0; }
.form { position: absolute; left: 0; right: 0; bottom: 0; padding: 3px 0 5px;
  border-top: 1px solid var(--grid-strong); background: var(--roll); }
.form div { display: flex; height: 14px; }
.form i { flex: 1 1 0; min-width: 0; margin: 1px .5px; border-radius: 2px; }
.form i.source { outline: 2px solid var(--text); outline-offset: -1px; }
.form .new, .legend .new { background: var(--colour); }
.form .same, .legend .same { background: color-mix(in srgb, var(--colour) 32%, transparent); }
.form .like, .legend .like { background: repeating-linear-gradient(135deg,
  var(--colour) 0 2px, color-mix(in srgb, var(--colour) 22%, transparent) 2px 5px); }
.names { position: absolute; left: 0; right: 0; bottom: 5px; font-size: 10.5px;
  color: var(--soft); text-align: center; line-height: 14px; }
.names b { display: block; height: 14px; font-weight: 550; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 10px 0 0; font-size: 12.5px;
  color: var(--soft); }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
.legend i { width: 15px; height: 11px; border-radius: 2px; --colour: #4c83f0;
  border: 1px solid var(--line); }
.playhead {
  position: absolute; top: 0; bottom: 0; left: 0; width: 2px; margin-left: -1px;
  background: var(--text); opacity: 0; pointer-events: none; will-change: transform;
}
.started .playhead { opacity: .85; }
.ssm { position: relative; width: 276px; height: 276px; padding: 9px 0 0 9px; margin: 0; }
.ssm .field { position: relative; width: 100%; height: 100%; cursor: pointer; }
.ssm img { display: block; width: 100%; height: 100%; image-rendering: pixelated;
  border-radius: 3px; }
.edge { position: absolute; display: flex; gap: 1px; border-radius: 3px; overflow: hidden; }
.edge.top { left: 9px; right: 0; top: 0; height: 6px; }
.edge.left { top: 9px; bottom: 0; left: 0; width: 6px; flex-direction: column; }
.edge i { display: block; min-width: 0; min-height: 0; }
.cross { position: absolute; background: #fff; opacity: 0; pointer-events: none; }
.started .cross { opacity: .8; }
.cross.x { width: 1px; top: 0; bottom: 0; } .cross.y { height: 1px; left: 0; right: 0; }

.player { display: flex; flex-wrap: wrap; align-items: center; gap: 10px 14px; margin-top: 14px; }
button { font: inherit; color: inherit; cursor: pointer; }
.play {
  width: 42px; height: 42px; border-radius: 50%; border: 0; flex: none; padding: 0;
  background: var(--accent); color: var(--on-accent); display: grid; place-items: center;
}
.play svg { width: 18px; height: 18px; fill: currentColor; }
.play .pause, .playing .play .start { display: none; }
.playing .play .pause { display: block; }
.time { color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums;
  min-width: 86px; text-align: center; }
.player input {
  flex: 1 1 160px; min-width: 120px; height: 18px; margin: 0; appearance: none; cursor: pointer;
  background: linear-gradient(var(--accent) 0 0) 0 50% / var(--share, 0%) 4px no-repeat,
    linear-gradient(var(--line) 0 0) 0 50% / 100% 4px no-repeat;
}
.player input::-webkit-slider-thumb { appearance: none; width: 14px; height: 14px;
  border-radius: 50%; background: var(--accent); }
.player input::-moz-range-thumb { width: 14px; height: 14px; border: 0; border-radius: 50%;
  background: var(--accent); }
.chip, .button {
  border: 1px solid var(--line); border-radius: 999px; background: none; padding: 4px 12px;
  font-size: 13px; line-height: 1.5; text-decoration: none; color: var(--text);
  display: inline-flex; align-items: center; gap: 7px;
}
.chip::before { content: ""; width: 9px; height: 9px; border-radius: 50%;
  background: var(--colour); }
.chip[aria-pressed=false] { opacity: .45; }
.chip:hover, .button:hover { border-color: var(--accent); }
.chips { display: flex; flex-wrap: wrap; gap: 7px; }
.zoom { min-width: 34px; justify-content: center; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.numbers {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(124px, 1fr)); gap: 10px 18px;
  margin: 16px 0 0; padding-top: 14px; border-top: 1px solid var(--line);
}
.numbers dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
footer { color: var(--soft); font-size: 13px; }
@media (max-width: 860px) {
  main { padding: 26px 14px 60px; }
  .view { grid-template-columns: minmax(0, 1fr); }
  .frame { height: 230px; }
  .frame.planned { height: 280px; }
  .ssm { width: min(100%, 300px); height: auto; aspect-ratio: 1; margin: 0 auto; }
  .song { padding: 15px; }
}
"""
