import type { DrawnFace } from './face.js'
import type { PlannedFace } from './plan.js'

/** The attributes of CelebA, in the order of its table. */
export const attributeNames = [
  '5_o_Clock_Shadow',
  'Arched_Eyebrows',
  'Attractive',
  'Bags_Under_Eyes',
  'Bald',
  'Bangs',
  'Big_Lips',
  'Big_Nose',
  'Black_Hair',
  'Blond_Hair',
  'Blurry',
  'Brown_Hair',
  'Bushy_Eyebrows',
  'Chubby',
  'Double_Chin',
  'Eyeglasses',
  'Goatee',
  'Gray_Hair',
  'Heavy_Makeup',
  'High_Cheekbones',
  'Male',
  'Mouth_Slightly_Open',
  'Mustache',
  'Narrow_Eyes',
  'No_Beard',
  'Oval_Face',
  'Pale_Skin',
  'Pointy_Nose',
  'Receding_Hairline',
  'Rosy_Cheeks',
  'Sideburns',
  'Smiling',
  'Straight_Hair',
  'Wavy_Hair',
  'Wearing_Earrings',
  'Wearing_Hat',
  'Wearing_Lipstick',
  'Wearing_Necklace',
  'Wearing_Necktie',
  'Young',
] as const

/** What the tables say of a face. */
export interface FaceRow {
  /** `000001.jpg` */
  readonly image: string
  readonly part: 0 | 1 | 2
  /** The attributes that it has; the others are not drawn, and -1 in the tables. */
  readonly has: ReadonlySet<string>
}

/**
 * The row of a face.
 *
 * @param number of the image, from 1
 */
export function faceRow(
  number: number,
  { smiling, eyeglasses, hair, part }: PlannedFace,
  face: DrawnFace,
): FaceRow {
  // Beards would hide mouths: nobody has one.
  const has = new Set<string>(['No_Beard'])
  if (smiling) has.add('Smiling')
  if (eyeglasses) has.add('Eyeglasses')
  if (hair === 'black') has.add('Black_Hair')
  if (hair === 'blond') has.add('Blond_Hair')
  if (hair === 'brown') has.add('Brown_Hair')
  if (hair === 'grey') has.add('Gray_Hair')
  if (face.earrings) has.add('Wearing_Earrings')
  return { image: `${String(number).padStart(6, '0')}.jpg`, part, has }
}

/** `list_attr_celeba`, as text columns or as CSV. */
export function attributeTable(rows: readonly FaceRow[], format: 'txt' | 'csv'): string {
  const values = ({ has }: FaceRow) => attributeNames.map(name => (has.has(name) ? '1' : '-1'))
  if (format === 'csv') {
    const lines = rows.map(row => [row.image, ...values(row)].join(','))
    return `${[`image_id,${attributeNames.join(',')}`, ...lines].join('\n')}\n`
  }
  const lines = rows.map(
    row =>
      `${row.image} ${values(row)
        .map(value => value.padStart(2))
        .join(' ')}`,
  )
  return `${[String(rows.length), `${attributeNames.join(' ')} `, ...lines].join('\n')}\n`
}

/** `list_eval_partition`, as text columns or as CSV. */
export function partitionTable(rows: readonly FaceRow[], format: 'txt' | 'csv'): string {
  const separator = format === 'csv' ? ',' : ' '
  const lines = rows.map(({ image, part }) => image + separator + part)
  return `${[...(format === 'csv' ? ['image_id,partition'] : []), ...lines].join('\n')}\n`
}
