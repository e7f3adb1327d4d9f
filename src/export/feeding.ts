import type { OptionNames } from '../known-options.js'

/** The orders of the axes of images: (B,H,W,C) as in tfjs, and (B,C,H,W). */
export const LAYOUTS = ['nhwc', 'nchw'] as const

/** The types in which a caller can pass pixels. */
export const PIXELS = ['float32', 'uint8'] as const

/** How an exported network is fed. */
export interface FeedingOptions {
  /** Order of the axes of images. Default 'nhwc'. */
  readonly layout?: (typeof LAYOUTS)[number]
  /**
   * Type in which a caller passes pixels: `float32` as the tfjs model takes them (networks of this library: x / 255),
   * or `uint8`, 0..255, which the exported network divides by 255 itself. Default 'float32'.
   */
  readonly pixels?: (typeof PIXELS)[number]
  /**
   * Whether L, the patches that each expert keeps, is one more input, {@link PATCHES_INPUT}: an integer without axes, from 1
   * to the patches of the layer that has the fewest; any other is an error where the network runs. Default false: L is that
   * of each layer.
   */
  readonly variablePatches?: boolean
}

/** The name of the input that says how many patches each expert keeps. */
export const PATCHES_INPUT = 'patches_per_expert'

/** The names of the options of {@link FeedingOptions}. */
export const feedingOptionNames = {
  layout: true,
  pixels: true,
  variablePatches: true,
} as const satisfies OptionNames<FeedingOptions>
