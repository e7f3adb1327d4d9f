/** Image formats by the bytes that their files begin with; `null` stands for any byte. */
const signatures: readonly (readonly [format: string, bytes: readonly (number | null)[]])[] = [
  ['JPEG', [0xff, 0xd8, 0xff]],
  ['PNG', [0x89, 0x50, 0x4e, 0x47]],
  ['GIF', [0x47, 0x49, 0x46, 0x38]],
  ['TIFF', [0x49, 0x49, 0x2a, 0x00]],
  ['TIFF', [0x4d, 0x4d, 0x00, 0x2a]],
  ['BigTIFF', [0x49, 0x49, 0x2b, 0x00]],
  ['BMP', [0x42, 0x4d]],
  ['JPEG 2000', [0x00, 0x00, 0x00, 0x0c, 0x6a, 0x50]],
  ['JPEG XL', [0x00, 0x00, 0x00, 0x0c, 0x4a, 0x58]],
  ['JPEG XL', [0xff, 0x0a]],
  ['PSD', [0x38, 0x42, 0x50, 0x53]],
  ['WebP', [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50]],
]
/** Brands of files of the ISO base media format that are pictures. */
const brands: ReadonlyMap<string, string> = new Map([
  ['avif', 'AVIF'],
  ['avis', 'AVIF'],
  ['heic', 'HEIC'],
  ['heix', 'HEIC'],
  ['hevc', 'HEIC'],
  ['mif1', 'HEIF'],
  ['msf1', 'HEIF'],
])

/**
 * The format of an image file by its first bytes, for people.
 *
 * @returns undefined where no known format begins with them
 */
export function imageFormat(bytes: Uint8Array): string | undefined {
  const text = (from: number, to: number): string => String.fromCharCode(...bytes.subarray(from, to))
  if (text(4, 8) === 'ftyp') return brands.get(text(8, 12))
  return signatures.find(([, start]) => start.every((byte, i) => byte === null || bytes[i] === byte))?.[0]
}
