// What an ONNX file says of itself. onnxruntime-web does not pass it on, so it is read out of the file: its outermost
// message holds pairs of key and value (metadata_props) in field 14, beside the graph, which is skipped.

/** Return the metadata of an ONNX file as an object of strings. bytes: Uint8Array. */
export function metadataOf(bytes) {
  const found = {};
  for (const [field, value] of messagesIn(bytes)) {
    if (field === 14) {
      const pair = Object.fromEntries(messagesIn(value));
      found[textOf(pair[1])] = textOf(pair[2]);
    }
  }
  return found;
}

/** Return [field number, bytes] of every field of a protobuf message that has a length; the others are passed over. */
function messagesIn(bytes) {
  const found = [];
  let at = 0;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= bytes.length) throw new Error("The file ends in the middle: it is no whole ONNX file.");
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) number();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = number();
      if (at + length > bytes.length) throw new Error("The file ends in the middle: it is no whole ONNX file.");
      found.push([field, bytes.subarray(at, at + length)]);
      at += length;
    } else throw new Error("This is no ONNX file.");
  }
  return found;
}

function textOf(bytes) {
  return new TextDecoder().decode(bytes ?? new Uint8Array());
}
