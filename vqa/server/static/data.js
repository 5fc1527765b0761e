// A store's page: words in the place of pictures that cannot be shown.

function say(image) {
  const text = document.createElement("p");
  text.className = "soft";
  text.textContent = "This picture cannot be shown: its file is gone or damaged.";
  image.replaceWith(text);
}

// What failed before this script ran, and what fails later.
const pictures = document.querySelectorAll(".picture img");
for (const image of pictures) if (image.complete && !image.naturalWidth) say(image);
document.addEventListener("error", (event) => {
  if (event.target.matches?.(".picture img")) say(event.target);
}, true);
