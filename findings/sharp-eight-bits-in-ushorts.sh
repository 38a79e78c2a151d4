#!/usr/bin/env bash
# sharp, asked for 16-bit numbers of a 16-bit depth map, gives eight bits in 16-bit words.
#
# Expected: metadata says ushort and grey16, so raw({depth: "ushort"}) gives the numbers, or at least numbers that use the 16 bits.
# Happens: before anything is put out the picture is made sRGB, which has 8 bits; "ushort" then only widens the word. Numbers
#   come divided by 256, three times over: a room of 0.5 to 5 m in millimetres is 1, 3, 7, 19. greyscale() and "b-w" run them
#   through a gamma besides (2, 4, 8, 19). As all are small whole numbers in a Uint16Array, nothing shows it but the sizes
#   of the room. Only toColourspace("grey16") before raw() or png() keeps them; resizing does too, then.
# Seen with: sharp 0.35.5 (libvips 8.18.7), Node 20.20, Linux x86-64.
# So: toColourspace("grey16") in every pipeline with depth. (Needs node and npm.)
#
# Output seen (the first channel of one row):
#   metadata              ushort grey16
#   ushort                [1,3,7,19] of 3 channels
#   greyscale, ushort     [2,4,8,19] of 1 channels
#   grey16, ushort        [500,1000,2000,5000] of 1 channels
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" sharp@0.35.5
cat > depth.mjs <<'JS'
import assert from "node:assert";
import sharp from "sharp";

const millimetres = [500, 1000, 2000, 5000];
const png = await sharp(Uint16Array.from(millimetres), { raw: { width: 4, height: 1, channels: 1 } })
  .toColourspace("grey16").png().toBuffer();
const { depth, space } = await sharp(png).metadata();
console.log(`metadata              ${depth} ${space}`);

async function told(name, pipeline) {
  const { data, info } = await pipeline.raw({ depth: "ushort" }).toBuffer({ resolveWithObject: true });
  const words = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const row = Array.from(words).filter((_, index) => index % info.channels === 0);
  console.log(`${name.padEnd(21)} ${JSON.stringify(row)} of ${info.channels} channels`);
  return row;
}

const plain = await told("ushort", sharp(png));
const grey = await told("greyscale, ushort", sharp(png).greyscale());
const kept = await told("grey16, ushort", sharp(png).toColourspace("grey16"));
assert.deepStrictEqual([depth, space], ["ushort", "grey16"]);
assert.deepStrictEqual(kept, millimetres, "changed: grey16 is not exact");
assert.deepStrictEqual([plain, grey], [[1, 3, 7, 19], [2, 4, 8, 19]], "changed");
JS
node depth.mjs
