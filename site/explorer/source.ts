import type { AnswerTo, Question } from '../../src/explore/explorer.js'

/** Where the explorer's page has its answers from: a server on this computer, or a worker of the page. */
export interface ExplorerSource {
  /**
   * Answers a question.
   *
   * @param signal gives it up
   * @throws Error with a message for people
   */
  ask<Asked extends Question>(question: Asked, signal?: AbortSignal): Promise<AnswerTo<Asked>>
  /**
   * The address of a picture of an image, as a network sees it.
   *
   * @param longest about how many pixels along its longer side
   */
  picture(network: number, image: number, longest: number): Promise<string>
  /**
   * Takes more images.
   *
   * @throws Error naming those that cannot be taken
   */
  addImages(files: readonly File[]): Promise<void>
  /**
   * Takes the files of a network, where networks come from the visitor: the first, or one to compare with.
   *
   * @throws Error when they are no network, or some are missing
   */
  addNetwork?(files: readonly File[]): Promise<void>
}
