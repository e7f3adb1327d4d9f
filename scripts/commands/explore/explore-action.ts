import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type BackendName, useBackend } from '../../../src/backend/choose.js'
import { Explorer } from '../../../src/explore/explorer.js'
import { labelOfPath } from '../../../src/explore/label-of-path.js'
import type { ExploredImage } from '../../run/exploring/explored-images.js'
import { imageFile } from '../../run/exploring/explored-images.js'
import { exploredRun, foundImages } from '../../run/exploring/explored-runs.js'
import { serveExplorer } from '../../run/exploring/explorer-server.js'
import { explorerPage } from '../../run/exploring/page-files.js'
import { askedModel, type PlainModelRequest } from '../../run/transfer/plain-model.js'
import { onInterrupt } from '../../terminal/interrupt.js'
import { noteText } from '../../terminal/safe-output.js'
import { asUsage } from '../../terminal/usage-error.js'

/** The flags of `pmoe explore`. */
export interface ExploreRequest extends PlainModelRequest {
  readonly compare?: string
  readonly data?: string
  readonly port?: number
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Largest image that a page may add, in bytes. */
const MOST_BYTES = 2 ** 28

/** Serves the explorer of a model until Ctrl-C. */
export async function runExplore(
  path: string,
  named: readonly string[],
  request: ExploreRequest,
): Promise<void> {
  await useBackend(request.backend ?? 'auto')
  const { compare, json, port } = request
  const paths = compare === undefined ? [path] : [path, compare]
  const opened = await openedModels(paths, request)
  const [first] = opened as [(typeof opened)[number]]
  const images: ExploredImage[] = []
  const runs = opened.map(model => asUsage(() => exploredRun(model, () => images)))
  const found = await foundImages(first, named, request.data)
  images.push(...found.images)
  const added = await mkdtemp(join(tmpdir(), 'pmoe-explore-'))
  try {
    const explored = () => ({
      networks: runs.map(({ network }) => network),
      images: images.map(({ entry }) => entry),
      notes: found.notes,
    })
    const page = await explorerPage()
    const server = await serveExplorer(
      {
        explorer: new Explorer(explored),
        page,
        picture: async (network, image, longest) => {
          const [run, asked] = [runs[network], images[image]]
          return run && asked && (await asked.picture(run.taking, longest))
        },
        addImage: async (name, body) => {
          const path = await keptFile(added, images.length, name, body)
          const label = labelOfPath(name, first.classNames ?? [])
          const entry = { name: name || 'image', ...(label !== undefined && { label }) }
          images.push({ ...imageFile(path, added, []), entry })
        },
      },
      port,
    )
    for (const note of found.notes) process.stderr.write(`${noteText(note)}\n`)
    const { address } = server
    process.stdout.write(
      json ? `${JSON.stringify({ address })}\n` : `Explorer: ${address} (Ctrl-C ends it)\n`,
    )
    await interrupted()
    await server.close()
  } finally {
    await rm(added, { recursive: true, force: true })
  }
}

async function openedModels(paths: readonly string[], request: PlainModelRequest) {
  const opened = []
  for (const path of paths) opened.push(await askedModel(path, 'explore', request))
  return opened
}

/** Waits for Ctrl-C: how the command is ended. */
async function interrupted(): Promise<void> {
  await new Promise<void>(resolve => {
    const interrupt = onInterrupt(() => {
      interrupt.release()
      resolve()
    })
  })
}

/**
 * Keeps an image that the page was given as a file of its own, for as long as the command runs.
 *
 * @throws Error when it has too many bytes
 */
async function keptFile(
  folder: string,
  number: number,
  name: string,
  body: AsyncIterable<Uint8Array>,
): Promise<string> {
  const own = basename(name.replaceAll('\\', '/'))
    .replace(/[^\p{L}\p{N} ._()-]/gu, '_')
    .slice(-80)
  const path = join(await mkdtemp(join(folder, `${number}-`)), own.replace(/^\.+/, '') || 'image')
  let bytes = 0
  async function* limited() {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > MOST_BYTES) {
        throw new RangeError(`explore: image must be of at most ${MOST_BYTES} bytes, got more (${own})`)
      }
      yield chunk
    }
  }
  await pipeline(Readable.from(limited()), createWriteStream(path))
  return path
}
