// Stored values as they are sent: `app/sandbox/pictures.py` says how they are filtered.
const ARRAYS = {
  u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array,
  u4: Uint32Array, i4: Int32Array, f4: Float32Array,
};

// The values of one record; null where its bytes are not as many as it says.
export async function valuesOf(packed, told, samples) {
  const Type = ARRAYS[told.type];
  const count = told.rows * told.columns * samples;
  const bytes = await inflated(packed, count * Type.BYTES_PER_ELEMENT);
  if (!bytes) return null;
  const found = unfiltered(bytes, count, Type);
  if (samples === 3) addGreen(found, count / 3);
  return new Type(found.buffer);
}

export const decoded = (base64) => Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));

// The overlays of one record, with their bits; those that came damaged are left out.
export async function overlaysOf({ overlays }) {
  const found = overlays.map(async (one) => {
    const bits = await inflated(decoded(one.bits), Math.ceil((one.rows * one.columns) / 8));
    return { ...one, bits };
  });
  return (await Promise.all(found)).filter(({ bits }) => bits);
}

const NOTHING = new Uint8Array([0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]); // deflated
const [WARM_COUNT, WARM_TIMES] = [1 << 13, 6];

// What the first picture of usual size needs, done with nothing: a browser compiles what has run
// for a while, and until then the same takes several times as long.
export async function warmUp() {
  for (let at = 0; at < WARM_TIMES; at++) {
    unfiltered(new Uint8Array(2 * WARM_COUNT).fill(at), WARM_COUNT, Uint16Array);
  }
  await inflated(NOTHING, 0);
}

async function inflated(packed, length) {
  const bytes = new Uint8Array(length);
  const stream = new DecompressionStream("deflate");
  const [writer, reader] = [stream.writable.getWriter(), stream.readable.getReader()];
  // What fails is told by the reader.
  writer.write(packed).catch(() => {});
  writer.close().catch(() => {});
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return at === length ? bytes : null;
      if (at + value.length > length) return null;
      bytes.set(value, at);
      at += value.length;
    }
  } catch (error) {
    if (error instanceof TypeError) return null; // it is not deflated
    throw error;
  } finally {
    reader.cancel().catch(() => {}); // it has ended, or has failed already
  }
}

function unfiltered(bytes, count, Type) {
  if (Type.BYTES_PER_ELEMENT === 1) {
    for (let at = 1; at < count; at++) bytes[at] += bytes[at - 1];
    return bytes;
  }
  if (Type.BYTES_PER_ELEMENT === 2) {
    const found = new Uint16Array(count);
    for (let at = 0, value = 0; at < count; at++) {
      const step = bytes[at] | (bytes[count + at] << 8);
      found[at] = value = (value + ((step >>> 1) ^ -(step & 1))) & 0xffff;
    }
    return found;
  }
  const found = new Int32Array(count);
  for (let at = 0, value = 0; at < count; at++) {
    const low = bytes[at] | (bytes[count + at] << 8);
    const step = low | (bytes[2 * count + at] << 16) | (bytes[3 * count + at] << 24);
    found[at] = value = (value + ((step >>> 1) ^ -(step & 1))) | 0;
  }
  return found;
}

// Red and blue are sent as what they differ from green.
function addGreen(found, count) {
  for (let at = 0; at < count; at++) {
    found[at] += found[count + at];
    found[2 * count + at] += found[count + at];
  }
}
