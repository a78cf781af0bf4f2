// The end of this turn of the event loop, where sockets, timers and everybody else had their chance.

/** Runs `task` in a later turn, after what is waiting now; in order. */
export const nextTurn: (task: () => void) => void =
  typeof setImmediate === 'function'
    ? (task) => {
        setImmediate(task)
      }
    : throughMessageChannel()

/** Browsers: `setTimeout(0)` is clamped to 4 ms when nested, a message to oneself is not. */
function throughMessageChannel(): (task: () => void) => void {
  const { port1, port2 } = new MessageChannel()
  const tasks: (() => void)[] = []
  port1.addEventListener('message', () => tasks.shift()?.())
  port1.start()
  return (task) => {
    tasks.push(task)
    port2.postMessage(null)
  }
}
