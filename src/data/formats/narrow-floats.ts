/**
 * Widens bfloat16 numbers to float32. Every number, infinity and NaN is kept exactly: bfloat16 is the upper half of a
 * float32.
 *
 * @param halves the 16 bits of each number
 */
export function widenBfloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, half => half << 16).buffer)
}

/**
 * Widens float16 numbers (IEEE 754 binary16) to float32. Every number is kept exactly, subnormal ones, infinities, the
 * sign of zero and the bits of a NaN among them.
 *
 * @param halves the 16 bits of each number
 */
export function widenFloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, float32Bits).buffer)
}

/** The bits of the float32 that equals a float16: 1 sign, 5 exponent and 10 fraction bits become 1, 8 and 23. */
function float32Bits(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // Subnormal, fraction * 2^-24: its highest bit becomes the one that float32 leaves out.
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

/**
 * Rounds float32 numbers to the nearest float16 (IEEE 754 binary16), of two equally near ones to the even one. What is too
 * large, from 65520 on, becomes infinity; NaN stays NaN.
 *
 * @returns the 16 bits of each number
 */
export function narrowFloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), float16Bits)
}

function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const exponent = ((bits >>> 23) & 0xff) - 112
  const fraction = bits & 0x7fffff
  if (exponent === 143) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200 | (fraction >> 13))
  if (exponent >= 31) return sign | 0x7c00
  // The bits that stay, with the leading 1 where the number is subnormal; a carry moves into the exponent as it must.
  if (exponent > 0) return sign + roundedShift((exponent << 23) | fraction, 13)
  if (exponent < -10) return sign
  return sign + roundedShift(fraction | 0x800000, 14 - exponent)
}

/** A number without its last bits, rounded to the nearest, halves to the even one. */
function roundedShift(bits: number, shift: number): number {
  const half = 2 ** (shift - 1)
  const rest = bits % (2 * half)
  const whole = Math.floor(bits / (2 * half))
  return whole + (rest > half || (rest === half && whole % 2 === 1) ? 1 : 0)
}
