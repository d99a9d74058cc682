"use strict";
// Draws the panels of a page: when they come near the screen, in the colors of the page, with keys and buttons.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");
  const light = {ink: "#1b1f23", soft: "#57606a", line: "#d0d7de", paper: "#ffffff"};
  const night = {ink: "#e6e9ec", soft: "#a5aeb7", line: "#3a4148", paper: "#14171a"};
  // From low to high values: the high end stands out most from the background.
  const scales = [
    ["#85a0ba", "#7796b4", "#6a8cae", "#5c81a7", "#4f769f", "#436a95", "#385a86", "#2e4873", "#24345d", "#1a1f45"],
    ["#5f7489", "#5f8199", "#608fa8", "#669db3", "#74abba", "#89b9bd", "#a4c8bd", "#c1d6bd", "#dde5c2", "#f7f3cf"],
  ];
  const drawn = new Map();

  function changes(model, c) {
    const tags = model.tags ?? [];
    if (model.type.endsWith("Axis")) {
      return {axis_label_text_color: c.soft, major_label_text_color: c.soft, axis_line_color: c.line,
              major_tick_line_color: c.line};
    }
    if (model.type === "Grid") return {grid_line_color: c.line, grid_line_alpha: 0.5};
    if (model.type === "Legend") {
      return {label_text_color: c.ink, background_fill_color: c.paper, inactive_fill_color: c.paper};
    }
    if (model.type === "ColorBar") {
      return {major_label_text_color: c.soft, title_text_color: c.soft, background_fill_alpha: 0};
    }
    if (model.type === "Figure") return {background_fill_color: c.paper, border_fill_color: c.paper};
    if (model.type === "Title") return {text_color: c.ink};
    const kind = tags.includes("ink") ? c.ink : tags.includes("muted") ? c.line : null;
    if (kind !== null) {
      const names = ["line_color", "fill_color", "text_color"].filter((name) => name in model.properties);
      return Object.fromEntries(names.map((name) => [name, kind]));
    }
    if (tags.includes("scale")) {
      const all = scales[dark.matches ? 1 : 0];
      const n = model.palette.length;
      return {palette: Array.from({length: n}, (_, k) => all[Math.round((k * (all.length - 1)) / Math.max(n - 1, 1))])};
    }
    return {};
  }

  // Columns of bytes (n, width) that are texts, see style.source.
  function unpack(doc) {
    for (const source of doc.all_models) {
      for (const tag of source.tags ?? []) {
        if (typeof tag !== "string" || !tag.startsWith("text:")) continue;
        const bytes = source.data[tag.slice(5)];
        const [n, width] = bytes.shape;
        const all = new TextDecoder("ascii").decode(new Uint8Array(bytes));
        source.data[tag.slice(5)] = Array.from({length: n}, (_, k) => all.slice(k * width, (k + 1) * width).replace(/\0+$/, ""));
      }
    }
  }

  function recolor(doc) {
    for (const model of doc.all_models) model.setv(changes(model, dark.matches ? night : light));
  }

  const figures = (doc) => [...doc.all_models].filter((model) => model.type === "Figure");

  // Legends in as many rows as their items need, and plots as much higher: bokeh has all items in one row, and cuts off
  // what is wider than the plot.
  const heights = new Map();
  const measure = document.createElement("canvas").getContext("2d");
  measure.font = "13px sans-serif";
  function wrap(doc) {
    for (const plot of figures(doc)) {
      const width = Bokeh.index.find_one(plot)?.el.clientWidth;
      if (!width) continue;
      for (const legend of plot.above) {
        if (legend.type !== "Legend") continue;
        const texts = legend.items.map((one) => measure.measureText(one.label?.value ?? "").width);
        const widest = Math.max(...texts) + legend.glyph_width + 24;
        const ncols = Math.min(texts.length, Math.max(1, Math.floor((width - 16) / widest)));
        if (legend.ncols === ncols) continue;
        legend.setv({ncols});
        if (!heights.has(plot)) heights.set(plot, plot.height);
        if (heights.get(plot) !== null) plot.setv({height: heights.get(plot) + 23 * (Math.ceil(texts.length / ncols) - 1)});
      }
    }
  }

  function scaled(range, log, change) {
    if (typeof range.start !== "number" || typeof range.end !== "number") return; // of names
    const [to, from] = log ? [Math.log, Math.exp] : [(x) => x, (x) => x];
    const [a, b] = [to(range.start), to(range.end)];
    const [start, end] = change(a, b);
    range.setv({start: from(start), end: from(end)});
  }

  function act(host, name) {
    const doc = drawn.get(host);
    for (const plot of doc ? figures(doc) : []) {
      if (name === "all") { Bokeh.index.find_one(plot)?.reset(); continue; }
      const factor = {in: 0.8, out: 1.25}[name] ?? 1;
      const [dx, dy] = {left: [-0.1, 0], right: [0.1, 0], up: [0, 0.1], down: [0, -0.1]}[name] ?? [0, 0];
      for (const [range, scale, shift] of [[plot.x_range, plot.x_scale, dx], [plot.y_range, plot.y_scale, dy]]) {
        scaled(range, scale.type === "LogScale", (a, b) => {
          const [middle, half] = [(a + b) / 2 + shift * (b - a), ((b - a) / 2) * factor];
          return [middle - half, middle + half];
        });
      }
    }
  }

  async function draw(host) {
    if (drawn.has(host)) return;
    drawn.set(host, null);
    const item = JSON.parse(document.getElementById(`${host.id}-data`).textContent);
    await Bokeh.embed.embed_item(item, host.id);
    const doc = Bokeh.documents.find((one) => one.roots().some((root) => root.id === item.root_id));
    drawn.set(host, doc);
    unpack(doc);
    recolor(doc);
    new ResizeObserver(() => wrap(doc)).observe(host);
    if (touch.matches) { // a finger scrolls the page; the buttons zoom
      for (const model of doc.all_models) if (model.type === "PanTool") model.active = false;
    }
    host.dataset.drawn = "yes";
  }

  const keys = {"+": "in", "=": "in", "-": "out", "0": "all", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up",
                ArrowDown: "down"};
  const hosts = [...document.querySelectorAll(".plot")];
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); draw(entry.target); }
  }, {rootMargin: "300px"});
  for (const host of hosts) {
    watcher.observe(host);
    host.addEventListener("keydown", (event) => {
      if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        act(host, keys[event.key]);
      }
    });
    for (const button of host.parentElement.querySelectorAll("button")) {
      button.addEventListener("click", () => act(host, button.dataset.act));
    }
  }
  dark.addEventListener("change", () => { for (const doc of drawn.values()) if (doc) recolor(doc); });
  addEventListener("beforeprint", () => hosts.forEach(draw));
})();
