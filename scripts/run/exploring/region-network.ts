import type { RegionSource } from '../../../src/data/regions/region-source.js'
import { describeLayers, describeRegions } from '../../../src/explore/describe-network.js'
import type {
  ExploredNetwork,
  ImageAnswer,
  NetworkDescription,
  PatchLosses,
  Setting,
  UnreadAnswer,
} from '../../../src/explore/description.js'
import type { RoutedOptions } from '../network.js'
import type { OpenedModel } from '../opened-model.js'
import { AnySizeModel, type RegionAnswer } from '../regions/region-answers.js'
import type { ExploredImage, Taking } from './explored-images.js'

/** The run of a network that reads images in parts. */
export interface RegionRun {
  readonly opened: OpenedModel
  readonly options: RoutedOptions
  readonly name: string
  readonly classNames: readonly string[]
  /** How it reads an image. */
  readonly parts: Extract<Taking, { parts: unknown }>['parts']
}

const WHERE = 'explore'
/** Models of another L each that are kept. */
const MOST_MODELS = 4

/** A network that reads images in parts, explored. */
export class RegionNetwork implements ExploredNetwork {
  readonly description: NetworkDescription
  private readonly run: RegionRun
  private readonly images: () => readonly ExploredImage[]
  private readonly models = new Map<number, AnySizeModel>()

  constructor(run: RegionRun, images: () => readonly ExploredImage[]) {
    this.run = run
    this.images = images
    const { opened, options, name, classNames } = run
    const { layer } = this.modelOf(options.patchesPerExpert).modelFor(options.imageShape)
    this.description = {
      ...describeLayers({ model: opened.model, source: opened.directory, name, classNames }),
      ...describeRegions(layer, options.imageShape),
    }
  }

  async answers(
    images: readonly number[],
    setting: Setting,
  ): Promise<readonly (ImageAnswer | UnreadAnswer)[]> {
    const model = this.asked(setting)
    const answers: (ImageAnswer | UnreadAnswer)[] = []
    for (const image of images) {
      answers.push(
        await this.opened(image, (name, source) => model.answer(name, source)).then(
          answerOf,
          (error: Error) => ({ problem: error.message }),
        ),
      )
    }
    return answers
  }

  async losses(image: number, setting: Setting): Promise<PatchLosses> {
    const model = this.asked(setting)
    return this.opened(image, async (name, source) => {
      const losses = await model.losses(name, source)
      return {
        grid: this.description.patches?.grid ?? [1, 1],
        lost: losses.map(({ lost }) => lost),
        boxes: losses.map(({ box }) => shares(box, source)),
        of: 'parts of the image',
      }
    })
  }

  /** Opens an image for as long as something is asked about it. */
  private async opened<Result>(
    number: number,
    ask: (name: string, source: RegionSource) => Promise<Result>,
  ): Promise<Result> {
    const image = this.images()[number] as ExploredImage
    const source = await image.regions(this.run.parts)
    try {
      return await ask(image.entry.name, source)
    } finally {
      await source.close?.()
    }
  }

  private asked({ patchesPerExpert = this.run.options.patchesPerExpert, off = [] }: Setting): AnySizeModel {
    if (off.length === 0) return this.modelOf(patchesPerExpert)
    throw new RangeError(
      `${WHERE}: off must name no experts of a network that reads images in parts, got ${off.length}`,
    )
  }

  /** The network with another L, built once. */
  private modelOf(patchesPerExpert: number): AnySizeModel {
    const { opened, options } = this.run
    const model =
      this.models.get(patchesPerExpert) ?? new AnySizeModel(opened, options, WHERE, { patchesPerExpert })
    this.models.delete(patchesPerExpert)
    this.models.set(patchesPerExpert, model)
    // The slider passes many values: the models that were asked last are kept.
    const [oldest] = this.models
    if (this.models.size > MOST_MODELS && oldest) {
      oldest[1].dispose()
      this.models.delete(oldest[0])
    }
    return model
  }
}

function answerOf({ probabilities, experts, source }: RegionAnswer): ImageAnswer {
  const values = [...probabilities]
  return {
    probabilities: values,
    predicted: values.indexOf(Math.max(...values)),
    experts: experts.map(({ patches, gates, boxes }) => ({
      patches,
      gates,
      boxes: boxes.map(box => shares(box, source)),
    })),
  }
}

/** A box in pixels as shares of the image's sides. */
function shares(
  [top = 0, left = 0, height = 0, width = 0]: readonly number[],
  source: RegionSource,
): readonly number[] {
  return [top / source.height, left / source.width, height / source.height, width / source.width]
}
