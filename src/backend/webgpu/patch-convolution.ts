import type * as tf from '@tensorflow/tfjs-core'
import type { PatchConvolution } from '../../layers/ops.js'
import type { Size2D } from '../../shapes.js'
import { type ConvolutionSizes, convolutionCode, convolutionVariant } from './convolution-code.js'
import { asTensor } from './device-program.js'
import { fitsTiles, type TiledProduct, tiledProduct } from './tiled-product.js'

/**
 * Every expert's convolution of its own patches, all experts in one product of tiles: a dispatch forward and one for each of the two
 * derivatives, instead of several for each expert.
 */
export const patchConvolution: PatchConvolution = {
  suits(windows, kernel) {
    const [groups, patches, height, width, channels] = windows.shape
    const [kernelHeight, kernelWidth, , filters] = kernel.shape
    if (windows.size === 0 || kernel.size === 0) return false
    const rows = Math.max(patches * height * width, kernelHeight * kernelWidth * channels)
    return fitsTiles({ groups, rows, columns: Math.max(channels, filters) })
  },

  forward(windows, filters, kernelSize, pad) {
    const { sizes, shared, pixels, outputs } = productOf(windows, filters, kernelSize, pad)
    return computed<tf.Tensor3D>({
      ...shared,
      name: 'ExpertConvolution',
      rows: outputs,
      inner: kernelSize[0] * kernelSize[1] * sizes.channels,
      columns: sizes.filters,
      numbers: { pixels },
      read: [
        { name: 'windows', tensor: windows },
        { name: 'filters', tensor: filters },
      ],
      results: [[shared.groups, outputs, sizes.filters]],
      leftAlong: 'inner',
      code: () => `${shared.code()}
fn leftAt(group: i32, row: i32, k: i32) -> f32 {
  let pixel = inputPlace(row, k / CHANNELS);
  if (pixel < 0) { return 0.0; }
  return windowsAt((group * uniforms.pixels + pixel) * CHANNELS + k % CHANNELS);
}
fn rightAt(group: i32, k: i32, column: i32) -> f32 {
  return filtersAt(filterPlace(group, k / CHANNELS, k % CHANNELS, column));
}
fn place0(group: i32, row: i32, column: i32) -> i32 { return (group * uniforms.rows + row) * FILTERS + column; }`,
    })
  },

  gradient(dOutputs, windows, filters, kernelSize, pad) {
    const { sizes, shared, pixels, outputs } = productOf(windows, filters, kernelSize, pad)
    const taps = kernelSize[0] * kernelSize[1]
    const dWindows = computed<tf.Tensor5D>({
      ...shared,
      name: 'ExpertInputGradient',
      rows: pixels,
      inner: taps * sizes.filters,
      columns: sizes.channels,
      numbers: { outputs },
      read: [
        { name: 'dOutputs', tensor: dOutputs },
        { name: 'filters', tensor: filters },
      ],
      results: [windows.shape],
      leftAlong: 'inner',
      code: () => `${shared.code()}
fn leftAt(group: i32, row: i32, k: i32) -> f32 {
  let pixel = outputPlace(row, k / FILTERS);
  if (pixel < 0) { return 0.0; }
  return dOutputsAt((group * uniforms.outputs + pixel) * FILTERS + k % FILTERS);
}
fn rightAt(group: i32, k: i32, column: i32) -> f32 {
  return filtersAt(filterPlace(group, k / FILTERS, column, k % FILTERS));
}
fn place0(group: i32, row: i32, column: i32) -> i32 { return (group * uniforms.rows + row) * CHANNELS + column; }`,
    })
    const dFilters = computed<tf.Tensor3D>({
      ...shared,
      name: 'ExpertKernelGradient',
      rows: taps * sizes.channels,
      inner: outputs,
      columns: sizes.filters,
      numbers: { pixels },
      read: [
        { name: 'windows', tensor: windows },
        { name: 'dOutputs', tensor: dOutputs },
      ],
      results: [filters.shape],
      leftAlong: 'rows',
      code: () => `${shared.code()}
fn leftAt(group: i32, row: i32, k: i32) -> f32 {
  let pixel = inputPlace(k, row / CHANNELS);
  if (pixel < 0) { return 0.0; }
  return windowsAt((group * uniforms.pixels + pixel) * CHANNELS + row % CHANNELS);
}
fn rightAt(group: i32, k: i32, column: i32) -> f32 {
  return dOutputsAt((group * uniforms.inner + k) * FILTERS + column);
}
fn place0(group: i32, row: i32, column: i32) -> i32 {
  return filterPlace(group, row / CHANNELS, row % CHANNELS, column);
}`,
    })
    return { dWindows, dFilters }
  },
}

/** What the three products have in common, and the pixels of an expert's windows and outputs. */
function productOf(windows: tf.Tensor5D, filters: tf.Tensor3D, kernel: Size2D, pad: 'same' | 'valid') {
  const [groups, patches, height, width, channels] = windows.shape
  const isSame = pad === 'same'
  const output = isSame ? [height, width] : [height - kernel[0] + 1, width - kernel[1] + 1]
  const sizes: ConvolutionSizes = {
    input: [height, width],
    output: output as [number, number],
    kernel,
    strides: [1, 1],
    padding: isSame ? [(kernel[0] - 1) >> 1, (kernel[1] - 1) >> 1] : [0, 0],
    channels,
    filters: filters.shape[2] / (kernel[0] * kernel[1]),
  }
  return {
    sizes,
    pixels: patches * height * width,
    outputs: patches * sizes.output[0] * sizes.output[1],
    shared: {
      groups,
      variant: convolutionVariant(sizes),
      code: () => `${convolutionCode(sizes)}
fn filterPlace(group: i32, tap: i32, channel: i32, filter_: i32) -> i32 {
  return ((group * CHANNELS + channel) * TAPS + tap) * FILTERS + filter_;
}`,
    },
  }
}

function computed<T extends tf.Tensor>(product: TiledProduct): T {
  return asTensor<T>(tiledProduct(product)[0] as tf.TensorInfo)
}
