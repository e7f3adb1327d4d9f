import type { DataSource } from '../data-source.js'
import { celebaParts, type FaceImages } from './celeba/celeba.js'
import { openTfdsRecords, type TfdsRecords, tfdsFolder } from './tfds-records.js'

/**
 * Opens CelebA as TensorFlow Datasets stores it (`celeb_a-train.tfrecord-00000-of-00004`, ...): goes through its
 * records once.
 *
 * @param attributes which of the forty to keep, by name: `Smiling`
 * @returns undefined when the source does not hold it
 * @throws Error and RangeError as {@link openTfdsRecords}; RangeError when an attribute is neither 0 nor 1
 */
export async function openTfdsFaces<Attribute extends string>(
  source: DataSource,
  attributes: readonly Attribute[],
): Promise<FaceImages<Attribute> | undefined> {
  const folder = await tfdsFolder(source, 'celeb_a')
  if (folder === undefined) return undefined
  const features = attributes.map(name => `attributes/${name}` as const)
  const [train, test] = await Promise.all(
    ['celeb_a-train', 'celeb_a-test'].map(stem => openTfdsRecords(source, folder, stem, features)),
  )
  if (!train || !test) return undefined
  const locate = (row: number): readonly [TfdsRecords<`attributes/${Attribute}`>, number] =>
    row < train.count ? [train, row] : [test, row - train.count]
  const columns = attributes.map(name => {
    const values = [train, test].flatMap(part => [...part.integers[`attributes/${name}`]])
    const signs = Int8Array.from(values, value => 2 * value - 1)
    const wrong = values.findIndex(value => value !== 0 && value !== 1)
    if (wrong < 0) return [name, signs]
    const [part, row] = locate(wrong)
    throw new RangeError(`${part.name(row)}: feature attributes/${name} must be 0 or 1, got ${values[wrong]}`)
  })
  return {
    count: train.count + test.count,
    attributes: Object.fromEntries(columns) as Record<Attribute, Int8Array>,
    parts: Int8Array.from({ length: train.count + test.count }, (_, row) =>
      row < train.count ? celebaParts.train : celebaParts.test,
    ),
    name(row) {
      const [part, inner] = locate(row)
      return part.name(inner)
    },
    encoded(row) {
      const [part, inner] = locate(row)
      return part.image(inner)
    },
  }
}
