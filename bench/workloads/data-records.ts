import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createReader } from 'tfrecord'
import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import { readRecords } from '../../src/data/formats/tfrecord.js'
import { readPreparedImage } from '../../src/data/prepared/encoded-image.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { preparedRecord } from '../../src/files/prepared/shard.js'
import { random } from '../../src/random.js'
import { alternate } from '../alternate.js'
import type { RecordsJob } from '../jobs.js'

const shape = [32, 32, 3] as const
const file = 'noise.tfrecord'

/**
 * Times `read` (records of CIFAR's size from a file, both checksums checked), `read images` (the same, decoded to labels
 * and pixels), `read by the package` (a tenth as many, by the reader of the npm package tfrecord) and `write` (encoding
 * into memory). Facts: `records`, `package records`, `bytes` of the file.
 */
export async function measureRecords(job: RecordsJob): Promise<Omit<ChildReport, 'software'>> {
  const folder = await mkdtemp(join(tmpdir(), 'patch-moe-records-'))
  const packageRecords = Math.max(1, Math.floor(job.records / 10))
  try {
    const encode = () => encodeRecords(job.records)
    await writeFile(join(folder, file), encode())
    const contestants = [
      { name: 'write', run: () => void encode() },
      { name: 'read', run: () => readAll(folder, job.records, () => undefined) },
      {
        name: 'read images',
        run: () => readAll(folder, job.records, data => void readPreparedImage(data, shape, file)),
      },
      { name: 'read by the package', run: () => readByPackage(join(folder, file), packageRecords) },
    ]
    const seconds = await alternate(contestants, job)
    const { length: bytes } = await dataFolder(folder).read(file)
    return { seconds, facts: { records: job.records, 'package records': packageRecords, bytes } }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function encodeRecords(count: number): Buffer {
  const chance = random(1, 'noise')
  const noise = Uint8Array.from({ length: 4096 + 3072 }, () => chance.below(256))
  return Buffer.concat(
    Array.from({ length: count }, (_, i) => {
      const pixels = noise.subarray(i % 4096, (i % 4096) + 3072)
      return preparedRecord({ pixels, label: i % 10 }, shape)
    }),
  )
}

async function readAll(folder: string, count: number, use: (data: Uint8Array) => void): Promise<void> {
  const source = await dataFolder(folder).open(file)
  let read = 0
  try {
    for await (const { records } of readRecords(source, file)) {
      for (const record of records) use(record)
      read += records.length
    }
  } finally {
    await source.close()
  }
  if (read !== count) throw new Error(`measureRecords: records must be ${count}, got ${read}`)
}

async function readByPackage(path: string, count: number): Promise<void> {
  const reader = await createReader(path)
  try {
    for (let read = 0; read < count; read++) await reader.readExample()
  } finally {
    await reader.close()
  }
}
