import type { Metadata, Sharp } from 'sharp'

/** Largest sample of 12 bits, which cameras and scanners often keep in 16. */
const white12 = 4095
const white16 = 65_535
/** Formats that store samples unscaled, such as samples of 12 bits in 16. */
const plainFormats = ['png', 'tiff']

/** How samples of more than 8 bits become 0..255. */
export interface SampleDepth {
  readonly kind: 'integer' | 'float'
  /** The sample that becomes 255. */
  readonly whiteLevel: number
  /** Notes for the user. */
  readonly notes: readonly string[]
}

/**
 * Finds out how the samples of an image become 0..255.
 *
 * @param image before any step
 * @param whiteLevel what is to become 255; without it 65535 for 16 bits, but 4095 where no sample is larger; for
 *   floating-point samples 1, but 255 where one is larger than 1
 * @returns undefined for 8 bits, where nothing is to be done
 * @throws RangeError saying which samples there are when they are of another type, or it is not clear what is white
 */
export async function sampleDepth(
  image: Sharp,
  about: Metadata,
  whiteLevel: number | undefined,
): Promise<SampleDepth | undefined> {
  if (about.depth === 'uchar') return undefined
  if (about.depth === 'ushort') return integerDepth(image, about, whiteLevel)
  if (about.depth === 'float') return floatDepth(image, about, whiteLevel)
  throw new RangeError(
    `samples of type ${about.depth} (8 or 16 bits without sign, and float of 32 bits, are read)`,
  )
}

async function integerDepth(
  image: Sharp,
  { hasAlpha, channels, format }: Metadata,
  requested: number | undefined,
): Promise<SampleDepth> {
  const colours = hasAlpha ? channels - 1 : channels
  const white = requested ?? (plainFormats.includes(format) ? await suggestedWhite(image, colours) : white16)
  const few = requested === undefined && white === white12 ? ', none above 4095' : ''
  return { kind: 'integer', whiteLevel: white, notes: [whiteText(`has 16 bits a sample${few}`, white)] }
}

/** The white level that the largest sample suggests; an image that is all black suggests 16 bits. */
async function suggestedWhite(image: Sharp, colours: number): Promise<number> {
  const { channels } = await image.clone().stats()
  const largest = Math.max(...channels.slice(0, colours).map(({ max }) => max))
  return largest > 0 && largest <= white12 ? white12 : white16
}

async function floatDepth(
  image: Sharp,
  about: Metadata,
  requested: number | undefined,
): Promise<SampleDepth> {
  const { data } = await asFloats(image.clone(), about).toBuffer({ resolveWithObject: true })
  const { least, most, hasNaN } = rangeOf(floatsOf(data))
  const notes = hasNaN ? ['has samples that are no numbers: they become black'] : []
  if (requested === undefined && (least < 0 || most > 255)) {
    throw new RangeError(
      `float samples in [${short(least)}, ${short(most)}], where [0, 1] or [0, 255] is expected ` +
        '(whiteLevel or --white-level says which value is white)',
    )
  }
  const white = requested ?? (most > 1 ? 255 : 1)
  return { kind: 'float', whiteLevel: white, notes: [whiteText('has float samples', white), ...notes] }
}

function whiteText(what: string, white: number): string {
  return `${what}: ${white} becomes white (whiteLevel or --white-level sets it for all images)`
}

/** The samples as they are stored, without the curve of a colour space. */
export function asFloats(image: Sharp, { space }: Metadata): Sharp {
  return image.toColourspace(space === 'scrgb' ? 'scrgb' : 'srgb').raw({ depth: 'float' })
}

/** Float samples to 0..255; NaN becomes 0. */
export function scaledFloats(data: Buffer, whiteLevel: number): Uint8Array {
  // Uint8ClampedArray rounds to the nearest integer and turns NaN into 0.
  return new Uint8Array(Uint8ClampedArray.from(floatsOf(data), value => (value * 255) / whiteLevel).buffer)
}

function floatsOf(data: Buffer): Float32Array {
  return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4)
}

function rangeOf(values: Float32Array): { least: number; most: number; hasNaN: boolean } {
  let [least, most, hasNaN] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, false]
  for (const value of values) {
    if (Number.isNaN(value)) hasNaN = true
    if (value < least) least = value
    if (value > most) most = value
  }
  return { least, most, hasNaN }
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)))
}
