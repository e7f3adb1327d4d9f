import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PublishedArchive, PublishedContent } from '../../data/datasets/downloads.js'
import { gunzip, isGzip } from '../../data/formats/gzip.js'
import { readIdxImages, readIdxLabels } from '../../data/formats/idx.js'

/**
 * Checks the MD5 of a file.
 *
 * @param md5 hexadecimal
 * @throws Error with both sums and the file's length when the sums differ
 */
export async function checkMd5(path: string, md5: string, signal?: AbortSignal): Promise<void> {
  const hash = createHash('md5')
  let length = 0
  for await (const chunk of createReadStream(path, { ...(signal && { signal }) })) {
    hash.update(chunk as Buffer)
    length += (chunk as Buffer).length
  }
  const digest = hash.digest('hex')
  if (digest !== md5) {
    throw new Error(
      `${path}: MD5 must be ${md5}, got ${digest} (file of ${length} bytes; nothing was put in place)`,
    )
  }
}

/**
 * Checks that a folder has the files that an archive is published with, and their lengths.
 *
 * @throws Error naming the first file that is not there or of another length
 */
export async function checkArchiveFolder(folder: string, { files }: PublishedArchive): Promise<void> {
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name)
    const stats = await stat(path).catch(() => undefined)
    if (!stats?.isFile()) throw new Error(`${path}: file must be there, got none`)
    if (stats.size !== bytes) throw new Error(`${path}: file must be ${bytes} bytes, got ${stats.size}`)
  }
}

/**
 * Checks an IDX file, plain or gzip, to its end.
 *
 * @throws Error with file, byte, expected and found, where header, sizes, labels or length differ
 */
export async function checkIdxFile(
  path: string,
  content: Exclude<PublishedContent, PublishedArchive>,
): Promise<void> {
  const file = await readFile(path)
  const bytes = isGzip(file) ? await gunzip(file, path, wholeBytes(content)) : file
  if (content.kind === 'idx-labels') {
    const labels = readIdxLabels(bytes, path, content.numClasses)
    if (labels.length === content.count) return
    throw new RangeError(`${path}: number of labels at byte 4 must be ${content.count}, got ${labels.length}`)
  }
  const { count, height, width } = readIdxImages(bytes, path)
  if (count === content.count && height === content.height && width === content.width) return
  throw new RangeError(
    `${path}: sizes at byte 4 must be ${content.count} images of ${content.height}x${content.width}, ` +
      `got ${count} of ${height}x${width}`,
  )
}

function wholeBytes(content: Exclude<PublishedContent, PublishedArchive>): number {
  return content.kind === 'idx-labels'
    ? 8 + content.count
    : 16 + content.count * content.height * content.width
}
