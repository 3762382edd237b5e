# Gradio's own themes load fonts from Google.
_FONTS = ["ui-sans-serif", "system-ui", "sans-serif"]
_STYLE = """
/* Gradio's own are too faint to read. */
body:not(.dark) .gradio-container {
  --body-text-color-subdued: #6b6b75; --block-label-text-color: #5f5f68;
  --block-info-text-color: #6b6b75; }
#images .or, #images .label-clear-button, #threshold .min_value,
#threshold .max_value { color: inherit; }
#decisions table { width: 100%; }
#decisions td, #decisions th { padding: 4px 12px; text-align: left; }
#decisions td:last-child { width: 50%; }
#threshold input[type=number] { width: 8em; }
#pictures .thumbnail-lg { aspect-ratio: auto; flex-direction: column; }
#pictures .thumbnail-lg img { height: auto; }
#pictures .caption-label { position: static; max-width: none; }
"""


def serve_page(page, host="127.0.0.1", port=None):
    """Serves a page in the background, on this machine alone unless told otherwise.

    Args:
        page: What `build_page` made.
        host: Address to listen on; "0.0.0.0" for all.
        port: Port; None for the first that is free from 7860 on.

    Returns:
        The page's address, a URL. `page.close()` ends it.

    Raises:
        ValueError: If the port is taken, or the address is not this machine's.

    Example:

    ```python
    page = build_page(keras.saving.load_model("runs/visa/model.keras"))
    print(serve_page(page, port=7860))
    ```
    """
    import gradio

    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            theme=gradio.themes.Default(font=_FONTS, font_mono=["ui-monospace"]),
            css=_STYLE,
            footer_links=[],
            max_file_size="100mb",
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            state_session_capacity=100,
        )
    except OSError as error:
        raise ValueError(
            f"The page can't be served at {host}, port {port or 'any'}: {error} Choose "
            "another --port, or leave it out."
        ) from error
    return address
