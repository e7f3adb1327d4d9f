import * as z from 'zod'
import type { HalfName } from '../datasets/dataset.js'

/** Name of the file that tells what a folder of prepared images holds. */
export const manifestFile = 'manifest.json'

const formatName = 'patch-moe prepared images'
const formatVersion = 1

const count = z.int().min(0)
const positive = z.int().min(1)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const fileName = z.string().regex(/^[\w.-]+$/)
/** The options of the dataset that was prepared; others besides these are particular to the dataset. */
const optionsSchema = z.looseObject({
  seed: z.int(),
  samples: positive.exactOptional(),
  testSamples: positive.exactOptional(),
})

const unreadableSchema = z.strictObject({ name: z.string(), reason: z.string() })

const shardSchema = z.strictObject({ file: fileName, records: count, bytes: count, sha256 })

const halfSchema = z.strictObject({
  count: positive,
  /** Images of each class, and of each group. */
  classCounts: z.array(count).min(1),
  groupCounts: z.array(count).min(1).exactOptional(),
  /** Labels, groups and offsets of all records. */
  index: z.strictObject({ file: fileName, bytes: count, sha256 }),
  shards: z.array(shardSchema).min(1),
  /** Images that could not be decoded, and why. */
  unreadable: z.array(unreadableSchema),
})

const manifestSchema = z.strictObject({
  format: z.literal(formatName),
  version: z.literal(formatVersion),
  dataset: z.string().min(1),
  options: optionsSchema,
  /** Where the images came from. */
  source: z.string(),
  shape: z.tuple([positive, positive, positive]),
  classNames: z.array(z.string()).min(1),
  groupNames: z.array(z.string()).min(1).exactOptional(),
  cells: z.tuple([positive, positive]).exactOptional(),
  /** Whether each record has the box of its object; folders without any leave it out. */
  objectBoxes: z.literal(true).exactOptional(),
  train: halfSchema,
  /** Only where the dataset has such a half besides the one that is reported. */
  validation: halfSchema.exactOptional(),
  test: halfSchema,
})

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T

/** What a folder of prepared images holds. */
export type PreparedManifest = Immutable<z.infer<typeof manifestSchema>>
/** Its training or its test images. */
export type PreparedHalf = PreparedManifest['train']
/** One of its files of records. */
export type PreparedShard = PreparedHalf['shards'][number]
/** The options of the dataset that was prepared. */
export type PreparedOptions = PreparedManifest['options']

/** The halves that a manifest has, with their names. */
export function preparedHalves({
  train,
  validation,
  test,
}: Pick<PreparedManifest, HalfName>): readonly (readonly [HalfName, PreparedHalf])[] {
  return [['train', train], ...(validation ? [['validation', validation] as const] : []), ['test', test]]
}

/** The text of a manifest. */
export function manifestText(manifest: Omit<PreparedManifest, 'format' | 'version'>): string {
  return `${JSON.stringify({ format: formatName, version: formatVersion, ...manifest }, null, 1)}\n`
}

/**
 * Reads the text of a `manifest.json`.
 *
 * @param path of the file, for errors
 * @throws RangeError naming the path and every key that is wrong, or sums that differ; Error when it is not JSON
 */
export function parseManifest(text: string, path: string): PreparedManifest {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new Error(`${path}: must be JSON, got ${text.length} characters that are not: ${reason}`, { cause })
  }
  const result = manifestSchema.safeParse(json)
  if (!result.success) {
    const issues = result.error.issues.map(
      ({ path: key, message }) => `${key.join('.') || 'the whole'}: ${message}`,
    )
    throw new RangeError(`${path}: must be the manifest of prepared images, got ${issues.join('; ')}`, {
      cause: result.error,
    })
  }
  const manifest = result.data as PreparedManifest
  checkSums(manifest, path)
  return manifest
}

/** Every way of counting the images must come to the same number. */
function checkSums(manifest: PreparedManifest, path: string): void {
  for (const [name, half] of preparedHalves(manifest)) {
    const ways = {
      classCounts: half.classCounts,
      ...(half.groupCounts && { groupCounts: half.groupCounts }),
      shards: half.shards.map(({ records }) => records),
    }
    for (const [way, counts] of Object.entries(ways)) {
      const sum = counts.reduce((total, images) => total + images, 0)
      if (sum === half.count) continue
      throw new RangeError(`${path}: ${name}.${way} must add up to its count ${half.count}, got ${sum}`)
    }
  }
  checkNames(manifest, path)
}

function checkNames(manifest: PreparedManifest, path: string): void {
  const { classNames, groupNames } = manifest
  for (const [, half] of preparedHalves(manifest)) {
    const pairs = [
      ['classCounts', half.classCounts.length, classNames.length],
      ['groupCounts', half.groupCounts?.length ?? 0, groupNames?.length ?? 0],
    ] as const
    for (const [key, length, expected] of pairs) {
      if (length === expected) continue
      throw new RangeError(`${path}: ${key} must hold ${expected} numbers, got ${length}`)
    }
  }
}
