import { defineComponent, h, onMounted, ref } from 'vue'

/** Puts a program into an element; its content stays until then. */
export type Mount = (root: HTMLElement) => Promise<void>

/** A component that shows its content, the picture of a figure, until the reader comes to it and its program has put the figure there. */
export function liveFigure(mount: Mount) {
  return defineComponent((_, { slots }) => {
    const root = ref<HTMLElement>()
    onMounted(() => {
      const element = root.value
      if (!element) return
      const seen = new IntersectionObserver(
        entries => {
          if (!entries.some(entry => entry.isIntersecting)) return
          seen.disconnect()
          mount(element).catch((error: Error) => {
            element.append(`This figure cannot be computed here: ${error.message}`)
          })
        },
        { rootMargin: '300px' },
      )
      seen.observe(element)
    })
    // A figure stands within a paragraph, which may hold no div.
    return () => h('span', { ref: root, class: 'live-figure' }, slots.default?.())
  })
}
