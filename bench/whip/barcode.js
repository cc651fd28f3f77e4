// Replaces the camera by a canvas with our bar code (docs/barcode.md): frame number, and the time it was drawn at.
// OFFSET_MS is the server's monotonic clock minus performance.now(), WIDTH x HEIGHT the picture, FPS its rate.
(() => {
  const cell = WIDTH / 80; // the wide layout: 80 columns, 2 rows, cells 11 to 68
  const table = [...Array(256).keys()].map((n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const crc32 = (bytes, seed) => {
    let crc = ~seed >>> 0;
    for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return ~crc >>> 0;
  };
  const whitening = "5a3c96e1d2784bb41e87c569f00f".match(/../g).map((hex) => parseInt(hex, 16));
  const bytesOf = (value, count) => [...Array(count).keys()].map((i) => Number((value >> BigInt(8 * (count - 1 - i))) & 255n));

  function code(number, us) {
    const payload = [...bytesOf(BigInt(number), 4), ...bytesOf(us, 6)];
    const word = [...payload, ...bytesOf(BigInt(crc32(payload, 0x4c61)), 4)];
    const bits = word.map((byte, i) => (byte ^ whitening[i]).toString(2).padStart(8, "0")).join("");
    return [`1${bits.slice(0, 56)}0`, `0${bits.slice(56)}1`];
  }

  function draw(context, number) {
    const us = BigInt(Math.round((performance.now() + OFFSET_MS) * 1000));
    const top = HEIGHT - 2 * cell;
    const sky = context.createLinearGradient(0, 0, WIDTH, HEIGHT);
    sky.addColorStop(0, `hsl(${number % 360} 40% 35%)`);
    sky.addColorStop(1, "hsl(30 60% 60%)");
    context.fillStyle = sky;
    context.fillRect(0, 0, WIDTH, top);
    for (let ball = 0; ball < 8; ball++) {
      context.fillStyle = `hsl(${ball * 45} 70% 50%)`;
      context.beginPath();
      context.arc((number * (3 + ball) + ball * 90) % WIDTH, top * (0.15 + 0.1 * ball), cell * 3, 0, 7);
      context.fill();
    }
    context.fillStyle = "#000";
    context.fillRect(0, top, WIDTH, 2 * cell);
    context.fillStyle = "#fff";
    code(number, us).forEach((row, line) =>
      [...row].forEach((bit, place) => {
        if (bit === "1") context.fillRect((11 + place) * cell, top + line * cell, cell, cell);
      }),
    );
  }

  navigator.mediaDevices.getUserMedia = async () => {
    const canvas = document.createElement("canvas");
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const context = canvas.getContext("2d", { alpha: false });
    const stream = canvas.captureStream(0);
    const [track] = stream.getVideoTracks();
    let number = 0;
    setInterval(() => {
      draw(context, number++);
      track.requestFrame();
    }, 1000 / FPS);
    return stream;
  };
})();
