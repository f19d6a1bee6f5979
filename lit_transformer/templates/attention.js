"use strict";
// Attention maps: every head small, layer by layer; the chosen one large, with its words.
// Arrow keys go from head to head, and inside the large map from cell to cell.
for (const figure of document.querySelectorAll("figure.maps")) {
  const { levels, alphabet } = figure.dataset;
  const [layers, heads] = [Number(figure.dataset.layers), Number(figure.dataset.heads)];
  const told = ["rows", "columns", "entropy", "distance"];
  const [rows, columns, entropy, distance] = told.map((name) => JSON.parse(figure.dataset[name]));
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const inside = (place, count) => Math.min(Math.max(place, 0), count - 1);
  const make = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const weight = (head, row, column) => {
    const place = (head * rows.length + row) * columns.length + column;
    return alphabet.indexOf(levels[place]) / (alphabet.length - 1);
  };
  const about = (head) => {
    const [layer, number] = [Math.floor(head / heads), head % heads];
    return "layer " + (layer + 1) + ", head " + (number + 1)
      + ": entropy " + entropy[layer][number].toFixed(2) + " nats, mean distance "
      + distance[layer][number].toFixed(1) + " tokens";
  };

  const small = () => {
    const grid = make("div");
    grid.className = "heads";
    grid.style.setProperty("--heads", heads);
    grid.setAttribute("role", "radiogroup");
    grid.setAttribute("aria-label", "heads");
    grid.append(make("span", "layer"));
    for (let head = 0; head < heads; head++) {
      grid.append(make("span", head === 0 ? "head 1" : head + 1));
    }
    const buttons = [];
    for (let head = 0; head < layers * heads; head++) {
      if (head % heads === 0) grid.append(make("span", head / heads + 1));
      const button = make("button");
      button.type = "button";
      button.title = about(head);
      button.setAttribute("role", "radio");
      button.setAttribute("aria-label", about(head));
      button.append(make("canvas"));
      buttons.push(button);
      grid.append(button);
    }
    return [grid, buttons];
  };

  const paint = (canvas, head) => {
    [canvas.width, canvas.height] = [columns.length, rows.length];
    canvas.style.aspectRatio = Math.min(Math.max(columns.length / rows.length, 0.75), 1.5);
    const ink = getComputedStyle(canvas).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns.length, rows.length);
    for (let row = 0; row < rows.length; row++) {
      for (let column = 0; column < columns.length; column++) {
        const cell = [...ink, Math.round(255 * weight(head, row, column))];
        image.data.set(cell, 4 * (row * columns.length + column));
      }
    }
    context.putImageData(image, 0, 0);
  };

  const large = () => {
    const table = make("table");
    const top = table.createTHead().insertRow();
    top.append(make("td"), ...columns.map((word) => make("th", word)));
    const body = table.createTBody();
    const cells = rows.map((word) => {
      const row = body.insertRow();
      row.append(make("th", word), ...columns.map(() => make("td")));
      return Array.from(row.querySelectorAll("td"));
    });
    for (const head of table.querySelectorAll("thead th")) head.scope = "col";
    for (const head of table.querySelectorAll("tbody th")) head.scope = "row";
    return [table, cells];
  };

  const build = () => {
    const [grid, buttons] = small();
    const [table, cells] = large();
    const box = make("div");
    const line = make("p");
    const [head, cell] = [make("b"), make("output")];
    const map = make("div");
    line.className = "told";
    line.append(head, " ", cell);
    map.className = "map";
    map.tabIndex = 0;
    map.setAttribute("role", "region");
    map.setAttribute("aria-label", "The chosen head; arrow keys go from cell to cell");
    map.append(table);
    box.className = "chosen";
    box.append(line, map);
    figure.append(grid, box);
    let [chosen, here] = [0, null];

    const point = (row, column) => {
      for (const marked of table.querySelectorAll(".here")) marked.classList.remove("here");
      here = [row, column];
      for (const one of [cells[row][column], table.rows[row + 1].cells[0]]) one.classList.add("here");
      table.rows[0].cells[column + 1].classList.add("here");
      const percent = Math.round(100 * weight(chosen, row, column));
      cell.textContent = rows[row] + " \u2192 " + columns[column] + ": " + percent + " %";
    };
    const choose = (number) => {
      chosen = number;
      buttons.forEach((button, place) => {
        button.setAttribute("aria-checked", String(place === number));
        button.tabIndex = place === number ? 0 : -1;
      });
      head.textContent = about(number) + ".";
      cells.forEach((some, row) => some.forEach((one, column) => {
        one.style.setProperty("--weight", weight(number, row, column).toFixed(3));
      }));
      if (here !== null) point(...here);
    };

    buttons.forEach((button, number) => button.addEventListener("click", () => choose(number)));
    grid.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const layer = inside(Math.floor(chosen / heads) + step[0], layers);
      choose(layer * heads + inside((chosen % heads) + step[1], heads));
      buttons[chosen].focus();
    });
    map.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const [row, column] = here === null ? [0, 0] : [here[0] + step[0], here[1] + step[1]];
      point(inside(row, rows.length), inside(column, columns.length));
      cells[here[0]][here[1]].scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    const under = (event) => {
      const found = event.target.closest("tbody td");
      if (found !== null) point(found.parentNode.rowIndex - 1, found.cellIndex - 1);
    };
    map.addEventListener("pointerover", under);
    map.addEventListener("click", under);

    const paintAll = () => buttons.forEach((button, number) => paint(button.firstChild, number));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);
    paintAll();
    choose(0);
  };

  const closed = figure.closest("details:not([open])");
  if (closed === null) build();
  else closed.addEventListener("toggle", build, { once: true });
}
