import { afterEach, expect, test, vi } from 'vitest'
import { cameraView } from '../../../site/playground/views/camera.js'

/** As much of an element as the camera's view needs. */
class PlainElement extends EventTarget {
  hidden = true
  textContent = ''
  srcObject: unknown
  setAttribute(): void {}
  append(): void {}
  focus(): void {}
}

class Track {
  isStopped = false
  stop(): void {
    this.isStopped = true
  }
}

/** A page whose cameras open when the test says so, in the order in which they were asked for. */
function pageWithCamera() {
  const answers: ((stream: MediaStream) => void)[] = []
  const getUserMedia = () => new Promise<MediaStream>(resolve => answers.push(resolve))
  vi.stubGlobal('document', { createElement: () => new PlainElement() })
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia } })
  return {
    allow(request: number): Track {
      const track = new Track()
      answers[request]?.({ getTracks: () => [track] } as unknown as MediaStream)
      return track
    },
  }
}

afterEach(() => {
  vi.unstubAllGlobals()
})

test('a camera that opens after it was closed is let go of', async () => {
  const page = pageWithCamera()
  const camera = cameraView()
  const opening = camera.open('dogs', () => {})
  camera.close()
  const track = page.allow(0)
  await opening
  expect([track.isStopped, camera.element.hidden]).toEqual([true, true])
})

test('of two that are asked for, the one of the last class stays, whichever opens first', async () => {
  const page = pageWithCamera()
  const camera = cameraView()
  const openings = [camera.open('dogs', () => {}), camera.open('cats', () => {})]
  const second = page.allow(1)
  const first = page.allow(0)
  await Promise.all(openings)
  expect([first.isStopped, second.isStopped, camera.element.hidden]).toEqual([true, false, false])
  camera.close()
  expect(second.isStopped).toBe(true)
})
