import { element, setText } from './element.js'

/** Height and width of a picture of the camera, in pixels. */
const SIDE = 224
/** Between two pictures while the button is held, in milliseconds. */
const INTERVAL_MS = 150

/** The camera of the device, for one class at a time. */
export interface Camera {
  readonly element: HTMLElement
  /**
   * Opens it for a class.
   *
   * @param name of the class
   * @param take gets each picture
   * @throws Error in the words of the page where there is no camera, or no permission
   */
  open(name: string, take: (picture: Blob) => void): Promise<void>
  close(): void
}

/** The camera's picture, with a button that takes pictures while it is held. */
export function cameraView(): Camera {
  const video = element('video', { autoplay: true, muted: true, playsinline: true, 'aria-label': 'Camera' })
  const title = element('span', { class: 'camera-title' })
  const shoot = element('button', { type: 'button', class: 'primary' }, 'Hold to take pictures')
  const done = element('button', { type: 'button', onclick: () => close() }, 'Done')
  const view = element(
    'div',
    { class: 'camera', hidden: true },
    video,
    element('div', { class: 'camera-side' }, title, element('div', { class: 'buttons' }, shoot, done)),
  )
  let stream: MediaStream | undefined
  /** Grows with each opening and closing: a stream that comes after another of these is not wanted any more. */
  let turn = 0
  let taken = 0
  let give: (picture: Blob) => void = () => {}
  let name = ''

  const take = async (): Promise<void> => {
    const picture = await frameOf(video)
    if (!picture) return
    give(picture)
    setText(title, `${name}: ${++taken} taken`)
  }
  const release = whileHeld(shoot, take)

  function close(): void {
    release()
    turn++
    stop(stream)
    stream = undefined
    view.hidden = true
  }

  return {
    element: view,
    async open(className, onPicture) {
      close()
      const own = turn
      const opened = await cameraStream()
      if (own !== turn) return stop(opened)
      stream = opened
      video.srcObject = stream
      give = onPicture
      name = className
      taken = 0
      setText(title, `${name}: none taken yet`)
      view.hidden = false
      shoot.focus()
    },
    close,
  }
}

/**
 * Calls a function again and again while a button is held, and once for each press of a key.
 *
 * @returns a function that lets go of it
 */
function whileHeld(button: HTMLButtonElement, act: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setInterval> | undefined
  const release = (): void => clearInterval(timer)
  button.addEventListener('pointerdown', () => {
    release()
    void act()
    timer = setInterval(() => void act(), INTERVAL_MS)
  })
  for (const end of ['pointerup', 'pointerleave', 'pointercancel', 'blur'])
    button.addEventListener(end, release)
  button.addEventListener('keydown', event => {
    if (event.key !== ' ' && event.key !== 'Enter') return
    event.preventDefault()
    void act()
  })
  return release
}

function stop(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

async function cameraStream(): Promise<MediaStream> {
  if (!navigator.mediaDevices)
    throw new Error('Camera: page must be a secure one (https or localhost), got one that is not')
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } })
  } catch (error) {
    const { name, message } = error as DOMException
    if (name === 'NotAllowedError')
      throw new Error(
        'Camera: this page must be allowed to use it, got no permission (the address bar gives it; files work without)',
      )
    if (name === 'NotFoundError')
      throw new Error('Camera: device must have one, got none (files work without)')
    throw new Error(`Camera: it must open, got: ${message || name}`)
  }
}

/** The square in the middle of what the camera shows now; undefined before it shows anything. */
async function frameOf(video: HTMLVideoElement): Promise<Blob | undefined> {
  const { videoWidth: width, videoHeight: height } = video
  const square = Math.min(width, height)
  if (square === 0) return undefined
  const canvas = element('canvas', { width: SIDE, height: SIDE })
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  context.drawImage(video, (width - square) / 2, (height - square) / 2, square, square, 0, 0, SIDE, SIDE)
  return new Promise(resolve => canvas.toBlob(blob => resolve(blob ?? undefined), 'image/jpeg', 0.9))
}
