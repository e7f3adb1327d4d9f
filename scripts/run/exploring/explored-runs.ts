import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ImageSet } from '../../../src/data/image-set.js'
import type { ImageStream } from '../../../src/data/image-stream.js'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { unreadableText } from '../../../src/data/unreadable-images.js'
import type { Contents, ExploredNetwork } from '../../../src/explore/description.js'
import { WholeNetwork } from '../../../src/explore/whole-network.js'
import { runImages } from '../evaluation/evaluated-images.js'
import { namedImages } from '../image-paths.js'
import { decodingOf } from '../model-decoding.js'
import type { OpenedModel } from '../opened-model.js'
import {
  type ExploredImage,
  imageFile,
  regionTestImages,
  type Taking,
  wholeTestImages,
} from './explored-images.js'
import { RegionNetwork } from './region-network.js'

/** A network that is explored, and how it takes images. */
export interface ExploredRun {
  readonly network: ExploredNetwork
  readonly taking: Taking
}

/**
 * A run or a saved model, to be explored.
 *
 * @param images that it is asked about; there may be more of them later
 * @throws UsageError or RangeError when it does not classify images
 */
export function exploredRun(opened: OpenedModel, images: () => readonly ExploredImage[]): ExploredRun {
  const { model, config, directory, classNames = [] } = opened
  const name = config?.model.name ?? model.name
  const options = config?.model.options
  if (options?.kind === 'routed') {
    const { whiteLevel } = config?.dataset ?? {}
    const channels = options.imageShape[2] === 1 ? 1 : 3
    const parts = { channels, ...(whiteLevel !== undefined && { whiteLevel }) } as const
    return {
      network: new RegionNetwork({ opened, options, name, classNames, parts }, images),
      taking: { parts },
    }
  }
  const decoding = decodingOf(opened)
  const read = async (image: number) => (images()[image] as ExploredImage).values(decoding)
  return {
    network: new WholeNetwork({ model, source: directory, name, classNames, read }),
    taking: { whole: decoding },
  }
}

/** Images that were found, and what was left out. */
export interface FoundImages extends Pick<Contents, 'notes'> {
  readonly images: readonly ExploredImage[]
}

/**
 * The image files and folders that a person names; without names the test images of the run, and none of a saved model.
 *
 * @param data the folder of the run's files, where it has moved
 * @throws Error when a name is of nothing, or the run's images cannot be read
 */
export async function foundImages(
  { config, classNames = [] }: OpenedModel,
  named: readonly string[],
  data: string | undefined,
): Promise<FoundImages> {
  if (named.length > 0) return filesNamed(named, classNames)
  if (!config) return { images: [], notes: [] }
  const { test } = await runImages(config, data)
  const images =
    config.model.options.kind === 'routed'
      ? regionTestImages(test.set as RegionStream)
      : await wholeTestImages(test.set as ImageSet | ImageStream)
  const { length } = images
  const some = length < test.set.count ? [`${length} of the ${test.description} are shown.`] : []
  return { images, notes: [...test.notes, ...some] }
}

async function filesNamed(named: readonly string[], classNames: readonly string[]): Promise<FoundImages> {
  const images: ExploredImage[] = []
  const notes: string[] = []
  for (const name of named) {
    const { paths, notes: found, unreadable } = await namedImages([name])
    if (unreadable.length > 0) throw new Error(unreadable.map(unreadableText).join('\n'))
    const isFolder = (await stat(name)).isDirectory()
    for (const path of paths) images.push(imageFile(path, isFolder ? name : dirname(name), classNames))
    notes.push(...found)
  }
  return { images, notes }
}
