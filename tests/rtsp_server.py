"""A real RTSP server: GStreamer's. Run by the system's Python, for which Debian packages its bindings.

    python3 rtsp_server.py PORT WIDTH HEIGHT [USER PASSWORD]

Prints "ready" once it listens. Streams, at 15 frames/s: /test, H.264; /h265; /jpeg; /vp8; /sound, without video;
/lossy, H.264 of which 2 % of the RTP packets are missing.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURES = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=15/1"
)
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 threads=1 ! rtph264pay config-interval=1"
H265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=5 option-string=pools=1:log-level=none"
STREAMS = {
    "/test": f"{PICTURES} ! {H264} name=pay0",
    "/h265": f"{PICTURES} ! {H265} ! rtph265pay name=pay0 config-interval=1",
    "/jpeg": f"{PICTURES} ! jpegenc ! rtpjpegpay name=pay0",
    "/vp8": f"{PICTURES} ! vp8enc deadline=1 ! rtpvp8pay name=pay0",
    "/sound": "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0",
    "/lossy": f"{PICTURES} ! {H264} mtu=200 ! identity drop-probability=0.02 name=pay0",
}


def protect(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, word: str) -> None:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, word), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(user, "media.factory.access", True)
    permissions.add_permission_for_role(user, "media.factory.construct", True)
    factory.set_permissions(permissions)


def main() -> None:
    port, width, height, *login = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    for path, pipeline in STREAMS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline.format(width=width, height=height)} )")
        factory.set_shared(True)
        if login:
            protect(server, factory, *login)
        server.get_mount_points().add_factory(path, factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
