/** A convolution of stride and padding, as numbers that are written into code. */
export interface ConvolutionSizes {
  /** h, w of a map. */
  readonly input: readonly [number, number]
  /** h', w' of the result. */
  readonly output: readonly [number, number]
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  /** Zeros above and left of the map. */
  readonly padding: readonly [number, number]
  readonly channels: number
  readonly filters: number
}

/** What {@link convolutionCode} depends on. */
export function convolutionVariant(sizes: ConvolutionSizes): string {
  return Object.values(sizes).flat().join('_')
}

/**
 * WGSL with constants of a convolution and two functions, whose pixels are numbered through all maps:
 *
 * - `inputPlace(pixel, tap)`: the pixel of the maps that lies under a tap of the kernel at a pixel of the results, or -1
 * - `outputPlace(pixel, tap)`: the pixel of the results at which a tap of the kernel lies over a pixel of the maps, or -1
 */
export function convolutionCode({
  input,
  output,
  kernel,
  strides,
  padding,
  channels,
  filters,
}: ConvolutionSizes): string {
  return `
const CHANNELS = ${channels};
const FILTERS = ${filters};
const TAPS = ${kernel[0] * kernel[1]};
fn inputPlace(pixel: i32, tap: i32) -> i32 {
  let map = pixel / ${output[0] * output[1]};
  let inMap = pixel % ${output[0] * output[1]};
  let y = inMap / ${output[1]} * ${strides[0]} + tap / ${kernel[1]} - ${padding[0]};
  let x = inMap % ${output[1]} * ${strides[1]} + tap % ${kernel[1]} - ${padding[1]};
  if (y < 0 || y >= ${input[0]} || x < 0 || x >= ${input[1]}) { return -1; }
  return (map * ${input[0]} + y) * ${input[1]} + x;
}
fn outputPlace(pixel: i32, tap: i32) -> i32 {
  let map = pixel / ${input[0] * input[1]};
  let inMap = pixel % ${input[0] * input[1]};
  let y = inMap / ${input[1]} - tap / ${kernel[1]} + ${padding[0]};
  let x = inMap % ${input[1]} - tap % ${kernel[1]} + ${padding[1]};
  if (y < 0 || x < 0 || y % ${strides[0]} != 0 || x % ${strides[1]} != 0) { return -1; }
  let row = y / ${strides[0]};
  let column = x / ${strides[1]};
  if (row >= ${output[0]} || column >= ${output[1]}) { return -1; }
  return (map * ${output[0]} + row) * ${output[1]} + column;
}`
}
