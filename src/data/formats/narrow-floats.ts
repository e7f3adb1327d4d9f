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
