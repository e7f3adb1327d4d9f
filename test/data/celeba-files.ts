import { random } from '../../src/random.js'

/** What the tables say of an image. */
export interface FaceTraits {
  readonly image: string
  readonly part: 0 | 1 | 2
  readonly has: readonly string[]
}

/** Forty names, those that tasks look up not where CelebA has them. */
export const attributeNames = [
  'Blond_Hair',
  ...Array.from({ length: 36 }, (_, i) => `Other_${i}`),
  'Smiling',
  'Eyeglasses',
  'Black_Hair',
]

/** Seeded images with the given chance of each trait. */
export function faceRows(count: number, seed = 1, shares = { Smiling: 0.5, Eyeglasses: 0.4 }): FaceTraits[] {
  const chance = random(seed, 'rows')
  return Array.from({ length: count }, (_, i) => {
    const hair = ['Black_Hair', 'Blond_Hair', 'Other_0'][chance.below(3)] as string
    const has = Object.entries(shares).flatMap(([name, share]) => (chance.next() < share ? [name] : []))
    const part = ([0, 0, 2, 1] as const)[i % 4] as 0 | 1 | 2
    return { image: `${String(i + 1).padStart(6, '0')}.jpg`, part, has: [...has, hair] }
  })
}

export function attributesText(rows: readonly FaceTraits[], end = '\n'): string {
  const lines = rows.map(({ image, has }) =>
    [image, ...attributeNames.map(name => (has.includes(name) ? ' 1' : '-1'))].join(' '),
  )
  return [String(rows.length), `${attributeNames.join(' ')} `, ...lines, ''].join(end)
}

export function attributesCsv(rows: readonly FaceTraits[], end = '\n'): string {
  const lines = rows.map(({ image, has }) =>
    [image, ...attributeNames.map(name => (has.includes(name) ? '1' : '-1'))].join(','),
  )
  return [`image_id,${attributeNames.join(',')}`, ...lines, ''].join(end)
}

export function partitionText(rows: readonly FaceTraits[], separator = ' ', end = '\n'): string {
  return rows.map(({ image, part }) => `${image}${separator}${part}${end}`).join('')
}

export const layoutNames = ['official', 'flat', 'csv', 'zip', 'torchvision'] as const

/** All files of CelebA in a layout; an image file holds the text of its own name. */
export function celebaFiles(
  rows: readonly FaceTraits[],
  layout: (typeof layoutNames)[number] = 'flat',
): Record<string, Uint8Array> {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const text = bytes(attributesText(rows))
  const parts = bytes(partitionText(rows))
  const images = (folder: string): Record<string, Uint8Array> =>
    Object.fromEntries(rows.map(({ image }) => [`${folder}/${image}`, bytes(image)]))
  const flat = { 'list_attr_celeba.txt': text, 'list_eval_partition.txt': parts }
  switch (layout) {
    case 'official':
      return {
        'Anno/list_attr_celeba.txt': text,
        'Eval/list_eval_partition.txt': parts,
        ...images('Img/img_align_celeba'),
      }
    case 'flat':
      return { ...flat, ...images('img_align_celeba') }
    case 'zip':
      return { ...flat, ...images('img_align_celeba.zip/img_align_celeba') }
    case 'csv':
      return {
        'list_attr_celeba.csv': bytes(attributesCsv(rows)),
        'list_eval_partition.csv': bytes(`image_id,partition\n${partitionText(rows, ',')}`),
        ...images('img_align_celeba/img_align_celeba'),
      }
    case 'torchvision':
      return Object.fromEntries(
        Object.entries({ ...flat, ...images('img_align_celeba') }).map(([path, file]) => [
          `celeba/${path}`,
          file,
        ]),
      )
  }
}
