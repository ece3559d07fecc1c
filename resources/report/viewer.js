"use strict";
// Slices through the volumes of a session in three planes, with the layers that are chosen.
(() => {
  const PIXELS_PER_MM = 2;
  // By the axis that is cut: axes across and up the picture, and the letters at its sides.
  const PLANES = [
    {across: 1, up: 2, letters: ["P", "A"]},
    {across: 0, up: 2, letters: ["L", "R"]},
    {across: 0, up: 1, letters: ["L", "R"]},
  ];

  const unpack = async text => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const colour = text => [1, 3, 5].map(place => parseInt(text.slice(place, place + 2), 16));

  const open = (section, stage, base, layers) => {
    const {shape, zooms, affine} = stage, strides = [1, shape[0], shape[0] * shape[1]];
    const at = shape.map(n => Math.floor(n / 2));
    const boxes = [...section.querySelectorAll("[data-layer]")];
    const opacity = section.querySelector("[data-opacity]");
    const outlines = section.querySelector("[data-outlines]");
    const told = section.querySelector("output");
    const views = PLANES.map((plane, axis) => {
      const canvas = section.querySelector(`canvas[data-axis="${axis}"]`);
      const range = section.querySelector(`input[data-axis="${axis}"]`);
      const size = [plane.across, plane.up].map(a => Math.round(shape[a] * zooms[a] * PIXELS_PER_MM));
      [canvas.width, canvas.height] = size;
      range.max = shape[axis] - 1;
      const [grey, labels] = [0, 1].map(() => {
        const sheet = document.createElement("canvas");
        [sheet.width, sheet.height] = [shape[plane.across], shape[plane.up]];
        return sheet;
      });
      return {...plane, axis, canvas, range, grey, labels};
    });

    // Colours of the layers that are shown, over one another.
    const shown = () => layers.filter((layer, place) => boxes[place].checked);

    const draw = view => {
      const {axis, across, up, canvas, grey, labels, letters} = view;
      const [width, height] = [shape[across], shape[up]], offset = at[axis] * strides[axis];
      const behind = new ImageData(width, height), before = new ImageData(width, height);
      const alpha = Number(opacity.value), chosen = shown();
      for (let row = 0, pixel = 0; row < height; row++) {
        for (let column = 0; column < width; column++, pixel += 4) {
          const line = height - 1 - row;
          const voxel = offset + column * strides[across] + line * strides[up];
          for (let part = 0; part < 3; part++) {
            behind.data[pixel + part] = stage.colour ? base[3 * voxel + part] : base[voxel];
          }
          behind.data[pixel + 3] = 255;
          for (const layer of chosen) {
            const label = layer.volume[voxel], paint = layer.colours[label];
            if (!paint) continue;
            const inner = column > 0 && column < width - 1 && line > 0 && line < height - 1
              && [strides[across], -strides[across], strides[up], -strides[up]]
                .every(step => layer.volume[voxel + step] == label);
            const outlined = layer.outline || outlines.checked;
            if (inner && outlined) continue;
            before.data.set(paint, pixel);
            before.data[pixel + 3] = outlined ? 255 : Math.round(255 * alpha);
          }
        }
      }
      grey.getContext("2d").putImageData(behind, 0, 0);
      labels.getContext("2d").putImageData(before, 0, 0);
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = true;
      context.drawImage(grey, 0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      context.drawImage(labels, 0, 0, canvas.width, canvas.height);
      const x = (at[across] + 0.5) / width * canvas.width;
      const y = (height - at[up] - 0.5) / height * canvas.height;
      context.strokeStyle = "rgba(255, 255, 255, 0.45)";
      context.beginPath();
      for (const [from, to] of [[0, x - 8], [x + 8, canvas.width]]) { context.moveTo(from, y); context.lineTo(to, y); }
      for (const [from, to] of [[0, y - 8], [y + 8, canvas.height]]) { context.moveTo(x, from); context.lineTo(x, to); }
      context.stroke();
      context.fillStyle = "#ffffff";
      context.font = "bold 16px sans-serif";
      context.fillText(letters[0], 6, 20);
      context.fillText(letters[1], canvas.width - 18, 20);
    };

    const tell = () => {
      const voxel = at[0] * strides[0] + at[1] * strides[1] + at[2] * strides[2];
      const mm = affine.map(row => row[3] + at.reduce((sum, index, a) => sum + row[a] * index, 0));
      const names = shown().map(layer => {
        const name = layer.labels[layer.volume[voxel]]?.name;
        return name && layer.says ? `${layer.says} ${name}` : name;
      }).filter(Boolean);
      told.textContent = `x ${mm[0].toFixed(0)}, y ${mm[1].toFixed(0)}, z ${mm[2].toFixed(0)} mm`
        + (names.length ? `: ${names.join(", ")}` : "");
    };

    let waiting = false;
    const update = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        views.forEach(view => { view.range.value = at[view.axis]; draw(view); });
        tell();
      });
    };
    const move = (axis, index) => {
      at[axis] = Math.min(Math.max(Math.round(index), 0), shape[axis] - 1);
      update();
    };

    for (const view of views) {
      const {canvas, range, axis, across, up} = view;
      const point = event => {
        if (!event.buttons) return;
        const box = canvas.getBoundingClientRect();
        move(across, (event.clientX - box.left) / box.width * shape[across] - 0.5);
        move(up, shape[up] - (event.clientY - box.top) / box.height * shape[up] - 0.5);
      };
      canvas.addEventListener("pointerdown", point);
      canvas.addEventListener("pointermove", point);
      canvas.addEventListener("wheel", event => {
        event.preventDefault();
        move(axis, at[axis] - Math.sign(event.deltaY));
      }, {passive: false});
      range.addEventListener("input", () => move(axis, Number(range.value)));
    }
    for (const control of [...boxes, opacity, outlines]) control.addEventListener("input", update);
    update();
  };

  const start = async () => {
    const stages = JSON.parse(document.getElementById("stages").textContent);
    for (const [place, stage] of stages.entries()) {
      const section = document.querySelector(`section[data-stage="${place}"]`);
      const base = await unpack(stage.data);
      const layers = await Promise.all(stage.layers.map(async layer => ({
        ...layer,
        volume: await unpack(layer.data),
        colours: Object.fromEntries(
          Object.entries(layer.labels).map(([label, entry]) => [label, colour(entry.colour)])),
      })));
      open(section, stage, base, layers);
      section.querySelector(".waiting").remove();
    }
    document.body.dataset.ready = "yes";
  };
  start();
})();
