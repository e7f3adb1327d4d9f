/** The samples that a TIFF file holds, by the number that its SampleFormat has for them. */
const sampleFormats = { uint: 1, int: 2, float: 3 } as const

/** How the samples of a TIFF file are stored. */
export interface TiffSamples {
  readonly format: keyof typeof sampleFormats
  readonly bits: 16 | 32 | 64
  /** 1 (grey, black is zero) or 3 (RGB). */
  readonly channels: 1 | 3
}

/** A TIFF file of one uncompressed strip, little-endian. Reference: TIFF 6.0, section 8 and page 80. */
export function tiffBytes(
  values: readonly number[],
  width: number,
  { format, bits, channels }: TiffSamples,
): Uint8Array {
  const height = values.length / (width * channels)
  const tags: [tag: number, value: number][] = [
    [256, width],
    [257, height],
    [258, bits],
    [259, 1],
    [262, channels === 1 ? 1 : 2],
    [273, 0],
    [277, channels],
    [278, height],
    [279, (values.length * bits) / 8],
    [339, sampleFormats[format]],
  ]
  const listEnd = 8 + 2 + 12 * tags.length + 4
  const perChannel = 6
  const first = listEnd + 2 * perChannel
  const view = new DataView(new ArrayBuffer(first + (values.length * bits) / 8))
  const short = (at: number, value: number) => view.setUint16(at, value, true)
  const long = (at: number, value: number) => view.setUint32(at, value, true)
  short(0, 0x4949)
  short(2, 42)
  long(4, 8)
  short(8, tags.length)
  for (const [i, [tag, value]] of tags.entries()) {
    const at = 10 + 12 * i
    const isPerChannel = tag === 258 || tag === 339
    short(at, tag)
    short(at + 2, isPerChannel ? 3 : 4)
    long(at + 4, isPerChannel ? channels : 1)
    if (!isPerChannel) long(at + 8, tag === 273 ? first : value)
    else if (channels === 1) short(at + 8, value)
    else {
      const place = tag === 258 ? listEnd : listEnd + perChannel
      long(at + 8, place)
      for (let channel = 0; channel < 3; channel++) short(place + 2 * channel, value)
    }
  }
  values.forEach((value, i) => {
    const at = first + (i * bits) / 8
    if (format === 'float') bits === 64 ? view.setFloat64(at, value, true) : view.setFloat32(at, value, true)
    else if (bits === 16) format === 'int' ? view.setInt16(at, value, true) : short(at, value)
    else format === 'int' ? view.setInt32(at, value, true) : long(at, value)
  })
  return new Uint8Array(view.buffer)
}
