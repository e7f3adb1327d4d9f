import { checkChannels, PIXEL_SCALINGS, type PixelScaling } from '../../../src/layers/input-scaling.js'
import { type RecognisedScaling, recognisedScaling } from '../../../src/models/input-scaling.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'
import type { OpenedModel } from '../opened-model.js'

/** How a network that was trained before takes pixels. */
export interface ChosenScaling {
  readonly scaling: PixelScaling
  /** Whether a layer in front of the network must make it of pixels of 0..1. */
  readonly isMissing: boolean
  /** What was recognised or asked for, a sentence; none where there is nothing to say. */
  readonly note?: string
}

/**
 * Chooses the scaling of pixels in front of a network: as asked for, else as the network shows it, else none.
 *
 * @param command for errors
 * @param asked the value of `--input-scaling`
 * @throws UsageError when the network has a layer for another scaling, or images of too few channels
 */
export function chosenScaling(
  opened: OpenedModel,
  command: string,
  asked: PixelScaling | 'auto' = 'auto',
): ChosenScaling {
  const recognised = shownScaling(opened)
  const wanted = asked === 'auto' ? undefined : asked
  if (recognised?.isInside) return insideScaling(opened, recognised, command, wanted)
  const channels = opened.model.inputs[0]?.shape.at(-1) ?? 0
  if (wanted !== undefined) {
    asUsage(() => checkChannels(wanted, channels, `${command}: --input-scaling`))
  }
  const isOwn = opened.isOfPatchMoe === true
  const scaling = wanted ?? (isOwn ? '0..1' : (recognised?.scaling ?? '0..1'))
  const note = isOwn && scaling === '0..1' ? undefined : noteOf(scaling, recognised)
  return { scaling, isMissing: scaling !== '0..1', ...(note && { note }) }
}

/** What a network shows of itself, unless its images have other channels than the scaling is for. */
function shownScaling({ model }: OpenedModel): RecognisedScaling | undefined {
  const recognised = recognisedScaling(model)
  try {
    if (recognised) checkChannels(recognised.scaling, model.inputs[0]?.shape.at(-1) ?? 0, '')
    return recognised
  } catch {
    return undefined
  }
}

function insideScaling(
  { directory }: OpenedModel,
  { scaling, reason }: RecognisedScaling,
  command: string,
  wanted: PixelScaling | undefined,
): ChosenScaling {
  if (wanted !== undefined && wanted !== scaling) {
    throw new UsageError(
      `${command}: --input-scaling must be left out or ${scaling} for ${directory}, of which ${reason} is for that, got ${wanted}`,
    )
  }
  return { scaling, isMissing: false, note: `Input scaling ${scaling}: ${reason} is there for it.` }
}

function noteOf(scaling: PixelScaling, recognised: RecognisedScaling | undefined): string {
  const named = `Input scaling ${scaling}: `
  if (recognised?.scaling === scaling) {
    return `${named}recognised, ${recognised.reason} (--input-scaling names another).`
  }
  if (recognised) {
    return `${named}as asked for, though ${recognised.reason}, which would be ${recognised.scaling}.`
  }
  if (scaling !== '0..1') return `${named}as asked for by --input-scaling.`
  const others = PIXEL_SCALINGS.filter(name => name !== '0..1').join(', ')
  return `${named}nothing in the network shows another (--input-scaling names it: ${others}).`
}
