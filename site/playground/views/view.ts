import type { NetworkName, PictureClass } from '../protocol.js'
import type { Setting } from '../setting.js'
import type { PageState } from '../state.js'

/** A part of the page. */
export interface View {
  readonly element: HTMLElement
  /** Shows a state; called in an animation frame, at most once in each. */
  update(state: PageState): void
  /** Lets go of what outlives the page's elements, such as a camera. */
  end?(): void
}

/** What a visitor can do. */
export interface Actions {
  change(change: Partial<Setting>): void
  run(): void
  pause(): void
  step(): void
  reset(): void
  /** Lights the patches of one expert alone, or of all. */
  selectExpert(expert: number | undefined): void
  save(network: NetworkName): void
  load(files: readonly File[]): void
  /** Copies the address of the setting. */
  share(): Promise<string>
  /** Goes on with WebAssembly where the last step that was stored ended. */
  goOnWithWasm(): void
  setClasses(classes: readonly PictureClass[]): void
  readPictures(): void
  /** Shows something that went wrong in the page itself. */
  fail(message: string): void
}
