import * as z from 'zod'
import type { Contents, ExploredNetwork, ImageAnswer, PatchLosses, UnreadAnswer } from './description.js'

/** The most images that one question may be about. */
export const MOST_IMAGES = 256

const number = z.int().min(0)
const setting = z.strictObject({
  patchesPerExpert: z.int().min(1).optional(),
  off: z
    .array(z.strictObject({ mixture: z.string(), expert: number }))
    .max(10_000)
    .readonly()
    .optional(),
})
const question = z.discriminatedUnion('ask', [
  z.strictObject({ ask: z.literal('contents') }),
  z.strictObject({
    ask: z.literal('answers'),
    network: number,
    images: z.array(number).min(1).max(MOST_IMAGES).readonly(),
    setting,
  }),
  z.strictObject({ ask: z.literal('losses'), network: number, image: number, setting }),
])

/** What a page asks. */
export type Question = z.infer<typeof question>

/** What a question is answered with. */
export type AnswerTo<Asked extends Question> = Asked extends { ask: 'contents' }
  ? Contents
  : Asked extends { ask: 'answers' }
    ? readonly (ImageAnswer | UnreadAnswer)[]
    : PatchLosses

/** A question that cannot be answered as it is. */
export class QuestionError extends Error {
  override readonly name = 'QuestionError'
}

/** What is explored: networks and the images that they are asked about. */
export interface Explored extends Pick<Contents, 'images' | 'notes'> {
  readonly networks: readonly ExploredNetwork[]
}

/**
 * Answers the questions of a page, wherever that runs: one after the other, as networks compute with what a question sets.
 */
export class Explorer {
  private readonly explored: () => Explored
  private last: Promise<unknown> = Promise.resolve()

  /** @param explored what there is now; pages may be given more */
  constructor(explored: () => Explored) {
    this.explored = explored
  }

  /**
   * Answers a question.
   *
   * @param asked a {@link Question}, of which nothing is checked yet
   * @param signal whoever asked is gone: what has not begun is not computed
   * @throws QuestionError when it is no question, or about a network or an image that there is not; RangeError when its setting is
   *   not for the network; Error when an image cannot be read
   */
  ask<Asked extends Question>(asked: Asked, signal?: AbortSignal): Promise<AnswerTo<Asked>>
  ask(asked: unknown, signal?: AbortSignal): Promise<unknown>
  async ask(asked: unknown, signal?: AbortSignal): Promise<unknown> {
    const checked = question.safeParse(asked)
    if (!checked.success) {
      const [issue] = checked.error.issues
      throw new QuestionError(
        `explore: question must be one that is known, got: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`,
      )
    }
    return this.inTurn(() => {
      signal?.throwIfAborted()
      return this.answer(checked.data)
    })
  }

  /** Does what nothing may be computed beside, such as taking a network away: after all that was asked before, before what comes. */
  inTurn<T>(act: () => T | Promise<T>): Promise<T> {
    const turn = this.last.then(act)
    this.last = turn.catch(() => undefined)
    return turn
  }

  private async answer(asked: Question): Promise<Contents | AnswerTo<Question>> {
    const { networks, images, notes } = this.explored()
    if (asked.ask === 'contents') {
      return { networks: networks.map(({ description }) => description), images, notes }
    }
    const network = networks[asked.network]
    if (!network) throw missing('network', asked.network, networks.length)
    const numbers = asked.ask === 'answers' ? asked.images : [asked.image]
    const wrong = numbers.find(image => image >= images.length)
    if (wrong !== undefined) throw missing('image', wrong, images.length)
    return asked.ask === 'answers'
      ? network.answers(asked.images, asked.setting)
      : network.losses(asked.image, asked.setting)
  }
}

function missing(what: string, got: number, count: number): QuestionError {
  const range = count === 0 ? 'none' : `an integer in [0, ${count - 1}]`
  return new QuestionError(`explore: ${what} must be ${range}, got ${got}`)
}
