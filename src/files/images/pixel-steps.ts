import type { Metadata, Sharp } from 'sharp'
import { asFloats, type SampleDepth, scaledFloats } from './sample-depth.js'

/** Lays transparency on white; opaque images stay as they are. */
export function onWhite(image: Sharp, { hasAlpha }: Pick<Metadata, 'hasAlpha'>): Sharp {
  return hasAlpha ? image.flatten({ background: '#ffffff' }) : image
}

/** The last steps of every decoding: samples of any depth and colours of any space become RGB, or floats of it. */
export function asSamples(image: Sharp, about: Metadata, depth: SampleDepth | undefined): Sharp {
  if (depth?.kind === 'float') return asFloats(image, about)
  const scaled = depth && depth.whiteLevel !== 65_535 ? image.linear(65_535 / depth.whiteLevel, 0) : image
  return scaled.toColourspace('srgb').raw({ depth: 'uchar' })
}

/**
 * Pixels of what {@link asSamples} decoded.
 *
 * @returns 0..255, in the channels that are asked for; may share the memory of `data`
 */
export function asPixels(data: Buffer, depth: SampleDepth | undefined, channels: number): Uint8Array {
  const rgb = depth?.kind === 'float' ? scaledFloats(data, depth.whiteLevel) : data
  return channels === 3 ? new Uint8Array(rgb.buffer, rgb.byteOffset, rgb.length) : lumaOf(rgb)
}

/** The grey that JPEG files keep too: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), here in 256ths. */
function lumaOf(rgb: Uint8Array): Uint8Array {
  const at = (byte: number): number => rgb[byte] as number
  return Uint8Array.from(
    { length: rgb.length / 3 },
    (_, i) => (77 * at(3 * i) + 150 * at(3 * i + 1) + 29 * at(3 * i + 2) + 128) >> 8,
  )
}
