"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();
  /* The width of a chart on A4 in pixels: a page is laid out anew only after it was drawn. */
  const PAPER = 660;
  let language = root.lang;
  let segment = "all";
  let printing = false;

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const part = () => document.querySelector(`[data-language="${language}"]`);

  /* What the reader chose is kept where the browser allows it; a file that was opened from a disk may not. */
  const keep = (name, value) => { try { localStorage.setItem(`clm-report-${name}`, value); } catch { /* not kept */ } };
  const kept = (name) => { try { return localStorage.getItem(`clm-report-${name}`); } catch { return null; } };

  const isDark = () => !printing && (root.dataset.theme === "auto" ? dark.matches : root.dataset.theme === "dark");

  /* ---------------------------------------------------------------- charts */

  const colours = () => {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(`--${name.replaceAll("_", "-")}`).trim();
    return (name) => (name === "ramp" ? ["ramp-low", "ramp-middle", "ramp-high"].map(of) : of(name));
  };

  /* Colours of a specification are names with a dollar sign. Data is left alone: a shop's text may begin with one. */
  const paint = (node, colour) => {
    if (typeof node === "string") {
      return /^\$[a-z_]+$/.test(node) ? colour(node.slice(1)) : node;
    }
    if (Array.isArray(node)) {
      return node.map((each) => paint(each, colour));
    }
    if (node && typeof node === "object") {
      return Object.fromEntries(
        Object.entries(node).map(([key, value]) => [key, key === "data" ? value : paint(value, colour)]),
      );
    }
    return node;
  };

  const config = (colour, locale) => {
    const font = getComputedStyle(document.body).fontFamily;
    /* On a phone, a title or a legend that begins where the names end would be cut. */
    const isNarrow = innerWidth < 600;
    const axis = {
      labelColor: colour("muted"), titleColor: colour("muted"), domainColor: colour("line"),
      tickColor: colour("line"), gridColor: colour("line"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: 400, labelLimit: 200, labelPadding: 6, titlePadding: 10, domain: false, tickSize: 4,
    };
    return {
      background: null, font, locale, aria: false, padding: 2,
      view: { stroke: null },
      axis, axisX: { ...axis, domain: true, ...(isNarrow ? { titleAnchor: "end" } : {}) },
      legend: {
        orient: "top", labelColor: colour("ink"), titleColor: colour("muted"), labelFontSize: 12, symbolType: "square",
        symbolSize: 110, labelLimit: 220, columnPadding: 16, offset: 10, columns: isNarrow ? 3 : 8,
        ...(isNarrow ? { layout: { top: { anchor: "end" } } } : {}),
      },
      text: { color: colour("ink"), font, fontSize: 12 },
    };
  };

  const bubble = document.createElement("div");
  bubble.className = "bubble";
  bubble.hidden = true;
  bubble.setAttribute("role", "status");
  document.body.append(bubble);

  const showBubble = (_, event, __, value) => {
    bubble.hidden = value === null || value === undefined || value === "";
    if (bubble.hidden) {
      return;
    }
    const list = document.createElement("dl");
    for (const [label, text] of Object.entries(typeof value === "object" ? value : { "": value })) {
      const name = document.createElement("dt");
      const words = document.createElement("dd");
      name.textContent = label;
      words.textContent = String(text);
      list.append(name, words);
    }
    bubble.replaceChildren(list);
    const edge = document.documentElement.clientWidth - bubble.offsetWidth - 8;
    bubble.style.left = `${Math.max(8, Math.min(event.clientX + 14, edge))}px`;
    bubble.style.top = `${Math.max(8, Math.min(event.clientY + 14, innerHeight - bubble.offsetHeight - 8))}px`;
  };

  const draw = (place) => {
    const name = place.dataset.chart;
    const found = data[language].charts[name];
    if (!found || !place.clientWidth) {
      return;
    }
    const old = views.get(place);
    if (old) {
      old.finalize();
    }
    const colour = colours();
    const wanted = paint(found.spec, colour);
    const spec = { height: found.height * (printing ? 0.8 : 1), autosize: { type: "fit", contains: "padding" }, ...wanted,
      width: Math.floor(printing ? Math.min(place.clientWidth, PAPER) : place.clientWidth) };
    const compiled = vegaLite.compile(spec, { config: config(colour, data[language].locale) }).spec;
    const view = new vega.View(vega.parse(compiled), { renderer: "svg", container: place, hover: true });
    view.tooltip(showBubble);
    setSegment(view);
    view.run();
    /* The place has a label; shapes have none. */
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    place.dataset.width = String(place.clientWidth);
    views.set(place, view);
  };

  const setSegment = (view) => {
    if (hasSegment(view)) {
      view.signal("segment", segment);
    }
  };
  const hasSegment = (view) => "segment" in view.getState({ signals: () => true, data: () => false }).signals;

  /* What is seen first is drawn first; the rest follows one by one, so that print finds all of it. */
  const pending = () => all("[data-chart]", part()).filter((place) => !views.has(place));
  const seen = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting && !views.has(entry.target)).forEach((entry) => draw(entry.target));
  }, { rootMargin: "200px" });
  const later = (work) => setTimeout(work, 0);
  const drawNext = () => {
    const [place] = pending();
    if (place) {
      draw(place);
      if (views.has(place)) {
        later(drawNext);
      }
    }
  };
  const drawAll = () => pending().forEach(draw);
  const redraw = () => {
    views.forEach((view) => view.finalize());
    views.clear();
    all("[data-chart]").forEach((place) => place.replaceChildren());
    seen.disconnect();
    all("[data-chart]", part()).forEach((place) => seen.observe(place));
    later(drawNext);
  };

  /* ---------------------------------------------------------------- the reader's choices */

  const setLanguage = (code) => {
    if (!data[code]) {
      return;
    }
    const at = location.hash.replace(/^#[a-z]+-/, "");
    language = code;
    root.lang = code;
    all("[data-language]").forEach((each) => { each.hidden = each.dataset.language !== code; });
    root.dir = part().getAttribute("dir");
    document.title = part().dataset.title;
    keep("language", code);
    labelTheme();
    redraw();
    const target = at && document.getElementById(`${code}-${at}`);
    if (target) {
      history.replaceState(null, "", `#${code}-${at}`);
      target.scrollIntoView();
    }
  };

  const labelTheme = () => all("[data-theme-switch]").forEach((button) => {
    button.textContent = isDark() ? button.dataset.light : button.dataset.dark;
  });

  const setTheme = (theme) => {
    root.dataset.theme = theme;
    labelTheme();
    redraw();
  };

  const chooseSegment = (code) => {
    segment = code;
    all("[data-choose-segment]").forEach((select) => { select.value = code; });
    all("tr[data-segment]").forEach((row) => { row.hidden = code !== "all" && row.dataset.segment !== code; });
    all("table[data-most]").forEach((table) => {
      all("tbody tr", table).filter((row) => !row.hidden).slice(Number(table.dataset.most))
        .forEach((row) => { row.hidden = true; });
    });
    all("[data-chosen]").forEach((note) => {
      const select = note.closest("[data-language]").querySelector("[data-choose-segment]");
      note.hidden = code === "all";
      note.textContent = `${note.dataset.text} ${select.selectedOptions[0].textContent}`;
    });
    all("[data-sentence]").forEach((place) => saySegment(place, code));
    views.forEach((view) => { if (hasSegment(view)) { view.signal("segment", code).run(); } });
  };

  /* A sentence about all customers beside a chart of some would be wrong: each segment has its own. */
  const saySegment = (place, code) => {
    place.dataset.all ??= place.textContent;
    const figure = place.closest("figure");
    const own = data[place.closest("[data-language]").dataset.language].segments[place.dataset.sentence];
    const nobody = figure.querySelector("[data-chosen]").dataset.nobody;
    place.textContent = code === "all" ? place.dataset.all : (Object.hasOwn(own, code) ? own[code] : nobody);
    const drawn = figure.querySelector("[data-chart]");
    if (drawn) {
      drawn.setAttribute("aria-label", `${figure.querySelector("h3").textContent}. ${place.textContent}`);
    }
  };

  /* ---------------------------------------------------------------- CSV */

  /* A spreadsheet takes a text that begins so for a formula. Numbers are written as they are. */
  const safe = (text) => (/^[\s]*[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const quoted = (text) => (/[",\n\r;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (td) => {
    const value = td.dataset.value ?? td.textContent.trim();
    return quoted(td.classList.contains("number") ? value : safe(value));
  };
  const csv = (table) => [
    all("thead th", table).map((th) => quoted(safe(th.dataset.column))).join(","),
    ...all("tbody tr", table).filter((row) => !row.hidden).map((row) => all("td", row).map(cell).join(",")),
  ].join("\r\n") + "\r\n";
  const save = (button) => {
    const table = button.closest(".behind").querySelector("table");
    const link = document.createElement("a");
    /* With a byte order mark, spreadsheets read other scripts than Latin. */
    link.href = URL.createObjectURL(new Blob(["\ufeff" + csv(table)], { type: "text/csv;charset=utf-8" }));
    link.download = `${table.dataset.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  /* ---------------------------------------------------------------- events */

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) {
      return;
    }
    if (button.dataset.setLanguage) {
      setLanguage(button.dataset.setLanguage);
      part().querySelector(`[data-set-language="${language}"]`).focus();
    } else if ("themeSwitch" in button.dataset) {
      const theme = isDark() ? "light" : "dark";
      keep("theme", theme);
      setTheme(theme);
    } else if ("csv" in button.dataset) {
      save(button);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-segment]")) {
      chooseSegment(event.target.value);
    }
  });
  dark.addEventListener("change", () => { labelTheme(); redraw(); });
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      views.forEach((_, place) => { if (place.dataset.width !== String(place.clientWidth)) { draw(place); } });
    }, 150);
  });
  const onPrint = (starts) => {
    printing = starts;
    root.classList.toggle("printing", starts);
    views.forEach((view) => view.finalize());
    views.clear();
    drawAll();
  };
  addEventListener("beforeprint", () => onPrint(true));
  addEventListener("afterprint", () => onPrint(false));

  /* The part of the page that is read is marked in the contents. */
  const marked = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      const link = document.querySelector(`nav a[href="#${entry.target.id}"]`);
      if (link) {
        all("nav a[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
        link.setAttribute("aria-current", "true");
      }
    });
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("section.part").forEach((section) => marked.observe(section));

  const wanted = new URLSearchParams(location.search);
  root.dataset.theme = wanted.get("theme") || kept("theme") || "auto";
  const first = wanted.get("language") || kept("language");
  if (first && first !== language && data[first]) {
    setLanguage(first);
  } else {
    labelTheme();
    redraw();
  }
})();
